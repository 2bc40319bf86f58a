/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's macros that Swift's importer cannot see, as functions of the same meaning. */
#pragma once
#include <malloc.h>
#include <openssl/sha.h>
#include <openssl/kdf.h>
#include <openssl/core_dispatch.h>
#include <openssl/provider.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

static inline int sluice_ctx_set_min_proto_version(SSL_CTX *c, int v) { return SSL_CTX_set_min_proto_version(c, v); }
static inline int sluice_ctx_set_max_proto_version(SSL_CTX *c, int v) { return SSL_CTX_set_max_proto_version(c, v); }
static inline long sluice_ctx_set_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline long sluice_ctx_set_session_cache_mode(SSL_CTX *c, long m) { return SSL_CTX_set_session_cache_mode(c, m); }
static inline long sluice_ctx_set1_groups_list(SSL_CTX *c, const char *g) { return SSL_CTX_set1_groups_list(c, g); }
/* How many groups of the client's are ours too; of a server's session. */
static inline long sluice_shared_group_count(SSL *s) { return SSL_get_shared_group(s, -1); }
/* The group of the key exchange: a NID, or the registry's number with TLSEXT_nid_unknown; 0 for none. */
static inline long sluice_negotiated_group(SSL *s) { return SSL_get_negotiated_group(s); }
static inline long sluice_ctx_set1_sigalgs_list(SSL_CTX *c, const char *s) { return SSL_CTX_set1_sigalgs_list(c, s); }
static inline long sluice_ctx_add1_chain_cert(SSL_CTX *c, X509 *x) { return SSL_CTX_add1_chain_cert(c, x); }
static inline void sluice_ctx_set_servername_callback(SSL_CTX *c, int (*f)(SSL *, int *, void *), void *arg) {
    SSL_CTX_set_tlsext_servername_callback(c, f);
    SSL_CTX_set_tlsext_servername_arg(c, arg);
}
static inline int sluice_set_min_proto_version(SSL *s, int v) { return (int)SSL_set_min_proto_version(s, v); }
static inline int sluice_x509_count(const STACK_OF(X509) *c) { return sk_X509_num(c); }
static inline X509 *sluice_x509_at(const STACK_OF(X509) *c, int i) { return sk_X509_value(c, i); }
/* Whether the server has asked for a certificate: only then is its list of authorities there. */
static inline int sluice_has_certificate_request(const SSL *s) { return SSL_get0_peer_CA_list(s) != NULL; }
static inline int sluice_set_server_name(SSL *s, const char *n) { return (int)SSL_set_tlsext_host_name(s, n); }
static inline unsigned long long sluice_op_no_renegotiation(void) { return SSL_OP_NO_RENEGOTIATION; }
static inline unsigned long long sluice_op_no_compression(void) { return SSL_OP_NO_COMPRESSION; }
static inline unsigned long long sluice_op_server_preference(void) { return SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA; }
static inline void sluice_bio_set_retry_read(BIO *b) { BIO_set_retry_read(b); }
static inline void sluice_bio_set_retry_write(BIO *b) { BIO_set_retry_write(b); }
static inline void sluice_bio_clear_retry_flags(BIO *b) { BIO_clear_retry_flags(b); }
static inline BIO *sluice_bio_new_mem_buf(const void *p, int n) { return BIO_new_mem_buf(p, n); }
static inline long sluice_bio_get_mem_data(BIO *b, char **p) { return BIO_get_mem_data(b, p); }
static inline EVP_PKEY *sluice_ec_p256_keygen(void) { return EVP_EC_gen("P-256"); }
/* An empty queue, which is nearly always one already: clearing it touches all of its 16 places. */
static inline void sluice_err_clear(void) { if (ERR_peek_error() != 0) ERR_clear_error(); }
static inline unsigned int sluice_err_reason(unsigned long e) { return ERR_GET_REASON(e); }
static inline int sluice_err_system(unsigned long e) { return ERR_SYSTEM_ERROR(e) ? (int)(e & ERR_SYSTEM_MASK) : 0; }
static inline unsigned int sluice_err_lib(unsigned long e) { return ERR_GET_LIB(e); }
static inline const GENERAL_NAME *sluice_general_name(const GENERAL_NAMES *n, int i) { return sk_GENERAL_NAME_value(n, i); }
static inline int sluice_general_name_count(const GENERAL_NAMES *n) { return sk_GENERAL_NAME_num(n); }
static inline int sluice_general_name_type(const GENERAL_NAME *n) { return n->type; }
static inline const ASN1_STRING *sluice_general_name_string(const GENERAL_NAME *n) { return n->d.ia5; }
/* Names for people: RFC 2253 order and escapes, but UTF-8 as it is. */
static inline int sluice_name_print(BIO *b, const X509_NAME *n) { return X509_NAME_print_ex(b, n, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB); }

/* OSSL_PARAM keeps pointers to its names, which a string made by Swift for one call does not outlive. */
static inline int sluice_mac_use_hmac_sha256(EVP_MAC_CTX *mac, const unsigned char *key, size_t count) {
    OSSL_PARAM parameters[3];
    parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, count);
    parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    parameters[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(mac, parameters);
}

/* One hash of one piece, without the EVP layer, which would look its name up, and without anything left behind. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static inline void sluice_sha256(const unsigned char *bytes, size_t count, unsigned char *digest) {
    SHA256_CTX state;
    SHA256_Init(&state);
    SHA256_Update(&state, bytes, count);
    SHA256_Final(digest, &state);
    OPENSSL_cleanse(&state, sizeof state);
}
static inline void sluice_sha384(const unsigned char *bytes, size_t count, unsigned char *digest) {
    SHA512_CTX state;
    SHA384_Init(&state);
    SHA384_Update(&state, bytes, count);
    SHA384_Final(digest, &state);
    OPENSSL_cleanse(&state, sizeof state);
}
#pragma GCC diagnostic pop

/* A place of the calling thread for one pointer, empty at first. The model says that no library loaded later asks for
   it: its address takes one instruction, not a call. */
static inline void **sluice_thread_place(void) { static __thread void *place __attribute__((tls_model("initial-exec"))); return &place; }
/* A number of the calling thread's, 0 at first. */
static inline long *sluice_derivation_count(void) { static __thread long count __attribute__((tls_model("initial-exec"))); return &count; }
/* The bytes of an object of OpenSSL's, which are malloc's. */
static inline size_t sluice_allocated_size(const void *p) { return malloc_usable_size((void *)p); }

/* Names of parameters, each where strcmp may read its 128 bytes without asking whether a page ends: OpenSSL
   compares each some twenty times for one record. */
static const char sluice_tag_name[] __attribute__((aligned(128))) = OSSL_CIPHER_PARAM_AEAD_TAG;
static const char sluice_iv_name[] __attribute__((aligned(128))) = OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED;

/* A context's next operation, with the tag to check where it opens: by parameters, since the ctrl of
   the same meaning looks each up once more. */
static inline int sluice_aead_begin(EVP_CIPHER_CTX *c, const unsigned char *key, const unsigned char *nonce, int sealing, const unsigned char *tag) {
    if (sealing) return EVP_EncryptInit_ex2(c, NULL, key, nonce, NULL);
    OSSL_PARAM p[2] = {OSSL_PARAM_construct_octet_string(sluice_tag_name, (void *)tag, 16), OSSL_PARAM_construct_end()};
    return EVP_DecryptInit_ex2(c, NULL, key, nonce, p);
}
/* The same for AES-GCM where the context has its key and direction already: a fixed vector of length -1
   is the whole one (as with EVP_CTRL_GCM_SET_IV_FIXED), and nothing is asked for its length. */
static inline int sluice_gcm_next(EVP_CIPHER_CTX *c, const unsigned char *nonce, const unsigned char *tag) {
    OSSL_PARAM p[3] = {
        OSSL_PARAM_construct_octet_string(sluice_iv_name, (void *)nonce, (size_t)-1),
        OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
    if (tag) p[1] = OSSL_PARAM_construct_octet_string(sluice_tag_name, (void *)tag, 16);
    return EVP_CIPHER_CTX_set_params(c, p);
}
static inline int sluice_aead_tag(EVP_CIPHER_CTX *c, unsigned char *tag) {
    OSSL_PARAM p[2] = {OSSL_PARAM_construct_octet_string(sluice_tag_name, tag, 16), OSSL_PARAM_construct_end()};
    return EVP_CIPHER_CTX_get_params(c, p);
}

static inline long sluice_current_cert(SSL *s, long which) { return SSL_set_current_cert(s, which); }
static inline int sluice_cipher_count(const STACK_OF(SSL_CIPHER) *c) { return sk_SSL_CIPHER_num(c); }
static inline const SSL_CIPHER *sluice_cipher_at(const STACK_OF(SSL_CIPHER) *c, int i) { return sk_SSL_CIPHER_value(c, i); }

static inline void sluice_free(void *p) { OPENSSL_free(p); }
/* What name constraints permit, one after the other; NULL behind the last. */
static inline const GENERAL_NAME *sluice_permitted(const NAME_CONSTRAINTS *c, int i) {
    const GENERAL_SUBTREE *s = sk_GENERAL_SUBTREE_value(c->permittedSubtrees, i);
    return s ? s->base : NULL;
}

/* A public key of these parameters, which are freed; NULL where they make none. */
static inline EVP_PKEY *sluice_public_key(const char *type, OSSL_PARAM *parameters) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = parameters ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    if (context && EVP_PKEY_fromdata_init(context) == 1) EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}
/* The public key of a modulus and an exponent, big-endian; NULL where they make none. */
static inline EVP_PKEY *sluice_rsa_public_key(const unsigned char *n, int n_count, const unsigned char *e, int e_count) {
    BIGNUM *modulus = BN_bin2bn(n, n_count, NULL), *exponent = BN_bin2bn(e, e_count, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    if (modulus && exponent && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus)
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *key = sluice_public_key("RSA", parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}
/* The public key of an uncompressed point on a curve; NULL where it is on none. */
static inline EVP_PKEY *sluice_ec_public_key(const char *curve, const unsigned char *point, size_t count) {
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0)
        && OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, count))
        parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *key = sluice_public_key("EC", parameters);
    OSSL_PARAM_BLD_free(builder);
    return key;
}
/* Whether a public key is sound: its point is on the curve, its modulus no even number. */
static inline int sluice_is_sound(EVP_PKEY *key) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    int result = context && EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    return result;
}
/* Begins to verify; by PSS, where that is asked for, with a salt as long as the digest (RFC 7518, 3.5). */
static inline int sluice_verify_init(EVP_MD_CTX *c, const EVP_MD *digest, EVP_PKEY *key, int is_pss) {
    EVP_PKEY_CTX *k = NULL;
    if (EVP_DigestVerifyInit(c, &k, digest, NULL, key) != 1) return 0;
    if (!is_pss) return 1;
    return EVP_PKEY_CTX_set_rsa_padding(k, RSA_PKCS1_PSS_PADDING) == 1
        && EVP_PKEY_CTX_set_rsa_pss_saltlen(k, RSA_PSS_SALTLEN_DIGEST) == 1
        && EVP_PKEY_CTX_set_rsa_mgf1_md(k, digest) == 1;
}
static inline int sluice_ctx_set1_verify_cert_store(SSL_CTX *c, X509_STORE *s) { return (int)SSL_CTX_set1_verify_cert_store(c, s); }
static inline long sluice_ctx_set_max_cert_list(SSL_CTX *c, long n) { return SSL_CTX_set_max_cert_list(c, n); }
/* The session whose peer is being verified; NULL where none is. */
static inline SSL *sluice_verified_session(X509_STORE_CTX *c) { return X509_STORE_CTX_get_ex_data(c, SSL_get_ex_data_X509_STORE_CTX_idx()); }
static inline STACK_OF(X509) *sluice_x509_stack(void) { return sk_X509_new_null(); }
static inline int sluice_x509_push(STACK_OF(X509) *s, X509 *x) { return sk_X509_push(s, x); }
static inline void sluice_x509_stack_free(STACK_OF(X509) *s) { sk_X509_free(s); }
