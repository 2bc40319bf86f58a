// SPDX-License-Identifier: Apache-2.0

/// Keys and tokens that another library has made: joserfc 1.8 of PyPI.
enum TokenVectors {
    /// The public keys and one secret.
    static let keys: String = [
        #"{"keys":[{"n":"vDXHR4NgvqhGNjMwL3Fxse8bk5G5E2NrTQBf3TNpFSPXwdENFEKM1Ik62Rykxt0HymJNUNPbeLhCWLu-z"#,
        #"Fw2xJ4Hkwd43PEIb8hq__Toi8W65B9oSv2X9CcfLLAjn5b83KGokSJ927rL0h-TFZpii_J2hM5wQGCxSaqTkLlEXXdJmNR7K"#,
        #"CXHEMYMFtX_EP4Js3f7Dw8t3qcuy7btWPMUmczpz_3xvrJIP680Nnxd3IjV9S6XWXjwYM2iqRlzY9I5WnyAkwrsNCP9j15BJ"#,
        #"YY43f5oKlWrwNUZ4TVAHPFo1J-VACJprhVViTURLNSU2q--1QI0Lwy0gNaOk3QzjsqqIw","e":"AQAB","kid":"rsa","k"#,
        #"ty":"RSA"},{"crv":"P-256","x":"Ztyhbey4XUM_cWVmnipeXtYMCnDCrg_SGD2EkbKV5uw","y":"2uFXjqvxq3BCjdn"#,
        #"Aju3y7LV7u-Ou0AtuGnpvwX5b2Mo","kid":"p256","kty":"EC"},{"crv":"P-384","x":"ImifgcyAs5o0xppB__cnj"#,
        #"PDeO4fKUO3EeTqs-0JEWWe1KxOdjsvD3ws6p7hjsz-B","y":"ZjD-_GrDss4DtnzWPHNptCjLV4UO6JWjjgcrfgE0DzGZHk"#,
        #"Rm5zJyLjckzX86hAr_","kid":"p384","kty":"EC"},{"crv":"P-521","x":"Abzy6SbzAuyPnfQIwS-r_65hkD0MXPA"#,
        #"xgxBZzLmNcaVky9qmX50mWcbLDcmEAs1uF5Zc0hQEySFcHjeFqDYYiqXz","y":"AVS7vp9gJbe4JiLl_e9WERUuZykQo-pA"#,
        #"Q1EfNsFc0t6d8Tz1_KLwJVhHy2AbgBGsmAsm3hxGgH_MwqmHxxyGi9kh","kid":"p521","kty":"EC"},{"crv":"Ed255"#,
        #"19","x":"8BHOKHe_0c4Dc_2rAVBRopvPtWrA3geZX9-ztXANNls","kid":"ed","kty":"OKP"},{"crv":"Ed448","x""#,
        #":"VIPzSVfkwdlM4OtT-D0wI7at4KQ-UgtU24amAdKBYiJkZAMz6K8Ixv9m6PsJM7ePgLOFS27D2dQA","kid":"ed448","k"#,
        #"ty":"OKP"},{"k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWF"#,
        #"iY2RlZg","kid":"oct","kty":"oct"}]}"#,
    ].joined()

    /// An RSA key of 1024 bits.
    static let weakKey: String = [
        #"{"keys":[{"n":"9BpggyD6uAIsAyzvjzvGdPB5Y_qr-1EIemrBDCi3LCOWLeh1qlCPLEtvr6E1OWWWDhjfIqSQkgMM3-THe"#,
        #"2kKhsZlhMZCvS-QfhgV35LAjSnpeoN2j3PcbpkmPiZPuwnqGlVMIaDa6WQxq3EPDD5Lm9kAVrOUev4lD2kPacS6crM","e":"#,
        #""AQAB","kid":"weak","kty":"RSA"}]}"#,
    ].joined()

    /// Tokens of ann for the audience `app` until 2100, by their algorithms.
    static let tokens: [String: String] = [
        "HS256": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6Im9jdCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.o_PrCCVCU3XWF5H9v-camYWgA105ECEb8DNDIlQt-YA",
        ].joined(),
        "HS384": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzM4NCIsImtpZCI6Im9jdCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.xBsHSp9gLPwuMrFRSARVhf9ap7HxQwkLt5Mlrw8oFtkN",
            "7pnrmZPfxBq1iJ_UbuK4",
        ].joined(),
        "HS512": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiIsImtpZCI6Im9jdCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.sXg2jaYa1HnPNHw0c9Q6Ogwg-La1oKQlu7SuemELXLlj",
            "tyiPWgkqSiXTolGAfWRRmMz56N3GoQxESlS6JQE6Nw",
        ].joined(),
        "RS256": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.Is3tDplCVjVelmEEyxOPcpc5GFTAAedXkXLCOg_qCdF1",
            "cw4l4WyN49Xj50d2iG6ftWLxQEWXeEGhd8_1OUDUDtgO8EnhGY4ws9lDlcpYR9tdB6UmjGoqO_kjyGAWprJ3tcHL80PTpGGE",
            "KYMATB53mV71XmEG8E6PJpf7W3-Z83TcIMmEyPwZqcZ8R3mNCh5o16y8RkRiynH7j1WZn0WPP7AK-tYZdfHa5jb1Hz5wLbLK",
            "fyEHLPX70stbYefB2eXiiX4OyByidQgs2tNMAzIjFMi6ed7-TUBe5WWVzWkBMx1i3pRyPxy7Tk857ajXyMD0B4WXmkrkLeff",
            "mtZqmOrdGA",
        ].joined(),
        "RS384": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzM4NCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.aPg6Jdsnpdz1ZFrzSm7Pq6FBzMtHowkh6pqbuxF9REig",
            "XV_uMfOvOPfF0iPR4gXw9girXuubs_b0by8tMRn4Elaofbs_KHvs8RGDTdSYG3dsZF7Vy4AoyiGVy0udKmOwyA_mZpl6fvqs",
            "mggarRaMYYLZN3ixUsnHbKWhlp3Of9FHMtKZV-lWg_45YnPaVbkNkCB1uhGl8HniS2A7LnsnSCvY0MH6AorX4jTfpCIoCuar",
            "PviuFgAgc28eJoPiHTxvIqRa8MdAzj28WXyHV5W9h27MiVI--UwJPggphTvT7lall82KfawMFSqxvjaPKCTehEy9GiXSuoP4",
            "9CrlLj16Dg",
        ].joined(),
        "RS512": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzUxMiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.cdhhk8QaaVKI91HVhZV12dPWDQrYseZ-z0GINAhlkq2O",
            "XRjxBPNbGfY7vzO0N5QRbmqmk7OqBTbX0vHtGT9BTE9Q77NYIf2-RaVmXGohxW58o0khLATKF4rvMxxQQ2t6qbevblNbbr0q",
            "yxUvTrWQQHzxNRm8mMbILCDHTauECLlEoMlhjeFLZ8lgU0Tlfs48_kEp9KNP00U1RDhy9uCAg5V5RHNbyglmcDNX5K7xt1Kg",
            "97Fj_-VygUEfltg8meDoV4Xwaqxe0Aim3AJQPS7rrgu12Hs-V7oK4n8V5BlFmt-iOxkNHqlozSv_-Z9rjA1DWatD0mkeSFoI",
            "vIev6bmqhA",
        ].joined(),
        "PS256": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJQUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.WWnvIYrRcXogQ0ZMcrl8yvCN_6_tyy7cxtH6trTW7AT2",
            "DJ4fsN5E4zmQTvVUPidzIWXHJ5HxcrKqdn2W4Ddda0QBH7brsLHvys4wiIe1A47aOyaNj_W8Wi1vrdBtX21OMmtIu0KHnaFu",
            "NMJmAYaLhsFtBBQZ8QheA3ebcF6Lhu47mMNLECiFfs9VlTZZu_FyiGp_FlyJbfqQtqHYD8TZYqmpkCg8FmD-1hHRRqiECmGd",
            "UmCy_9RJMrK0sqs9WveatQ0aPWTWFfPrsbulnvewDLVBcHiRvMqJfRbX2kMlDLsD6wR1qpIfxvn-3s5_0OB44SUhU4gz_TLi",
            "ETOerBMAPQ",
        ].joined(),
        "PS384": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJQUzM4NCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.eY2DFRz2hd0ZQNT4fhMkRMYhw9rg2N0v5K3oBUno_7y4",
            "T7z5KgRJgtU7QPaGp7uRu9l_a4X9zD1LoB8rs0ZoBWrjEtVm7u2_zPt0wkkr-UwKN7c0txerv18hCnA06ZWVkHBENIhppGIu",
            "iJaoKR1EMtlh6w2RYK0V1tMVSb1fjTARk9zaAAMV980DCAZtWK9M1t24S_lhFrPMfBtlSkDGi8TDqYGAafNoijH0x6VUz15y",
            "LnhfR-B9iKnfvktOYUKfCnDXzypPLOOOWOk5kYIF71JcvLeMSn1XjkNvEfYZ2SRgLzH2Nm6yYwP0IhQBXX3NXHgBHZ3X5nvm",
            "-qJll3AROg",
        ].joined(),
        "PS512": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJQUzUxMiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXV",
            "kIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.jMJcA-E7O1s5oacfoaiN-IW37uj3_6fqK_DFeSSyqvnJ",
            "s-JvFq1tE1Tzjxd8FPXQhsGh_8l_yJiTgzxpWI4e7ZbyE3vsLacSuVyBZ4N_-KHrDN3J30VVr3kzgcG0oF4QmQQ4oUM2pSCE",
            "lzwzE9Lf-bXtqv4ORZE5Cro5LzOuR-UXkGgshcG91K3aHevQmGs69owwXBXRi9sNETcMJphJE3sm1D0DP387SVshkkicpt9v",
            "VN_xOCfemUhstf52dr838OJPoaSIoX9H5v21uvoVyL4vpKsNK0dVKf-RGQCiWjXwLuV3cbZS4RMAAbzHtE224WezkoZB6G9W",
            "YmySXYwdAQ",
        ].joined(),
        "ES256": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6InAyNTYifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiY",
            "XVkIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.R0aNAflN25DZngU8WI2wXFq80rZkZ8y0WDI1DbWJBs",
            "1CEo3CngfRCOsafNVMh6CQZM9zxHVEGynZWZW7UQV-wA",
        ].joined(),
        "ES384": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzM4NCIsImtpZCI6InAzODQifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiY",
            "XVkIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.HVhwUE-z1FmUieMsgll1UvC9AGflj1VKKmaa0QqKak",
            "3ahMMA_UojOZq9DMagSY-motsWUvMAn4J2jiTMs11b7smIARJahDxIvowf9Rsc_WH0DFJ3VjOyk8DtCbxNmyBG",
        ].joined(),
        "ES512": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzUxMiIsImtpZCI6InA1MjEifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiY",
            "XVkIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.ANCYsGyhbMD6NelccJ6Fp5jNI7S-r-eDZJBNNL6hDa",
            "vBSKgu_X1OXCZwJ_5wDCKAo8CqPE6VREpmrPT1k4VkyT3DAT9OV9rpV47yDjRzdaXTPToueBkuAqWvrdrWI8opLco1bs8rBZ",
            "bvit-c04r7UsV2rC7IW_ONfgJVDnvcYSHT18iW",
        ].joined(),
        "EdDSA": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSIsImtpZCI6ImVkIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXVk",
            "IjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.bHNmyyYSiA5wDWumtvUO5QD4NsLkD4uDL9LDTI1j_94Nh",
            "WA8HpPQjdOC1mjbqYTrzxn68stIT1rJ6vBkiDVnDQ",
        ].joined(),
        "Ed25519": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZDI1NTE5Iiwia2lkIjoiZWQifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiY",
            "XVkIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.GdvOFIVW7XrUdKNyQeLHzGjCsinh-qd7q7-anf6V9o",
            "9EIOaEMA-NU71OkaJwD31kNj7OZoEZ9v17AeLoiJp8DA",
        ].joined(),
        "Ed448": [
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZDQ0OCIsImtpZCI6ImVkNDQ4In0.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0Iiwi",
            "YXVkIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.pmCt6ePXsAvgCKtRYhQA8qg_IYawWixncXxukixYK",
            "uX3_vt73N7h11hwNEFlVZGBTglD8j2ZzcUAsrntD5EfLv3QRjQ0bMj5OoGiCLn8BOA7VrfK_HLyekHG_wncBGKAukPvxV02z",
            "sBqaOvuyEfDMgYA",
        ].joined(),
    ]

    /// One whose HMAC has the public RSA key, as PEM, for its secret.
    static let confused: String = [
        "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pc3N1ZXIudGVzdCIsICJhdWQiOiAiYXB",
        "wIiwgInN1YiI6ICJhbm4iLCAiZXhwIjogNDEwMjQ0NDgwMH0.xCcDXCB1HCJWK0cpSYkhoPkLMStX4NWpJ9lTRSUhBtM",
    ].joined()
}
