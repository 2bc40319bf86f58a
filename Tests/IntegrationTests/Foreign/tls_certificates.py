# SPDX-License-Identifier: Apache-2.0
"""Certificates of all kinds for upstreams, below one authority: `tls_certificates.py FOLDER`.

Each is a file of a chain, NAME.pem, and of its key, NAME.key: `good` and `other` (another name), `expired`,
`early` (not valid yet), `purpose` (for clients alone), `client` (the same), `selfsigned`, `long` (behind nine
intermediates), and `stranger`, of an authority that nobody trusts. `ca.pem` is the authority, `next.pem` another
one, which has signed `moved`.
"""

import datetime
import ipaddress
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

folder = sys.argv[1]
now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.timedelta(days=1)
LOCAL = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make(subject, issuer=None, names=None, usage=ExtendedKeyUsageOID.SERVER_AUTH, first=-day, last=30 * day):
    """A certificate and its key; one without names is an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, signed_by = (issuer[1], issuer[0].subject) if issuer else (key, name(subject))
    builder = (
        x509.CertificateBuilder().subject_name(name(subject)).issuer_name(signed_by)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now + first).not_valid_after(now + last)
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    builder = builder.add_extension(
        x509.KeyUsage(names is not None, False, False, False, False, names is None, names is None, False, False),
        critical=True)
    if issuer:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(signer, hashes.SHA256()), key


def write(file, made, *behind):
    pem = serialization.Encoding.PEM
    with open(f"{folder}/{file}.pem", "wb") as chain:
        for certificate, _ in (made, *behind):
            chain.write(certificate.public_bytes(pem))
    with open(f"{folder}/{file}.key", "wb") as key:
        key.write(made[1].private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


authority = make("Authority of upstreams")
write("ca", authority)
write("good", make("good", authority, LOCAL))
write("other", make("other", authority, [x509.DNSName("app.internal")]))
write("expired", make("expired", authority, LOCAL, first=-20 * day, last=-day))
write("early", make("early", authority, LOCAL, first=day))
write("purpose", make("purpose", authority, LOCAL, ExtendedKeyUsageOID.CLIENT_AUTH))
write("client", make("client", authority, [x509.DNSName("sluice")], ExtendedKeyUsageOID.CLIENT_AUTH))
write("selfsigned", make("selfsigned", None, LOCAL))
write("stranger", make("stranger", make("Nobody's authority"), LOCAL))
following = make("Next authority")
write("next", following)
write("moved", make("moved", following, LOCAL))
chain = [authority]
for number in range(9):
    chain.append(make(f"intermediate {number}", chain[-1]))
write("long", make("long", chain[-1], LOCAL), *reversed(chain[1:]))
