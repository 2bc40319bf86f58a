/* SPDX-License-Identifier: Apache-2.0 */
/* What Sluice calls of intel-ipsec-mb 1.3, declared here: the library is opened by name when the process starts, so
   neither its headers nor the library itself are needed to build or to run. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <sys/platform/x86.h>
#endif

/* struct gcm_key_data: the round keys of AES, and powers of the hash's key. It has 1,008 bytes in version 1.3 and stands at
   a multiple of 64. */
enum { sluice_gcm_key_bytes = 1024 };
/* struct gcm_context_data: the state between two calls for one message. It has 88 bytes in version 1.3. */
enum { sluice_gcm_state_bytes = 128 };

/* AES-GCM with keys of one length, in one of the library's forms. The names are those of its manual: pre, enc, dec, init,
   enc_update and enc_finalize. */
struct sluice_gcm {
    void (*expand)(const void *key, void *expanded);
    void (*seal)(const void *expanded, void *state, uint8_t *out, const uint8_t *in, uint64_t count,
                 const uint8_t *nonce, const uint8_t *aad, uint64_t aad_count, uint8_t *tag, uint64_t tag_count);
    void (*open)(const void *expanded, void *state, uint8_t *out, const uint8_t *in, uint64_t count,
                 const uint8_t *nonce, const uint8_t *aad, uint64_t aad_count, uint8_t *tag, uint64_t tag_count);
    void (*begin)(const void *expanded, void *state, const uint8_t *nonce, const uint8_t *aad, uint64_t aad_count);
    void (*add)(const void *expanded, void *state, uint8_t *out, const uint8_t *in, uint64_t count);
    void (*end)(const void *expanded, void *state, uint8_t *tag, uint64_t tag_count);
};

/* Puts symbols into their places, in the order of the members. C allows no conversion from void * to a function's
   pointer, and POSIX asks for it (dlsym(3)). */
static inline struct sluice_gcm sluice_gcm_of(void *const symbols[6]) {
    struct sluice_gcm gcm;
    __builtin_memcpy(&gcm.expand, &symbols[0], sizeof(void *));
    __builtin_memcpy(&gcm.seal, &symbols[1], sizeof(void *));
    __builtin_memcpy(&gcm.open, &symbols[2], sizeof(void *));
    __builtin_memcpy(&gcm.begin, &symbols[3], sizeof(void *));
    __builtin_memcpy(&gcm.add, &symbols[4], sizeof(void *));
    __builtin_memcpy(&gcm.end, &symbols[5], sizeof(void *));
    return gcm;
}

/* The version as the library's function gives it: major, minor and patch, a byte each from bit 16 on. */
static inline uint32_t sluice_version_of(void *symbol) {
    unsigned (*function)(void);
    __builtin_memcpy(&function, &symbol, sizeof(void *));
    return function();
}

static inline void sluice_gcm_expand(const struct sluice_gcm *g, const uint8_t *key, void *expanded) {
    g->expand(key, expanded);
}
static inline void sluice_gcm_seal(const struct sluice_gcm *g, const void *expanded, void *state, uint8_t *out,
                                   const uint8_t *in, size_t count, const uint8_t *nonce, const uint8_t *aad,
                                   size_t aad_count, uint8_t *tag) {
    g->seal(expanded, state, out, in, count, nonce, aad, aad_count, tag, 16);
}
/* The tag that the bytes should have is written to `tag`: who calls compares it. */
static inline void sluice_gcm_open(const struct sluice_gcm *g, const void *expanded, void *state, uint8_t *out,
                                   const uint8_t *in, size_t count, const uint8_t *nonce, const uint8_t *aad,
                                   size_t aad_count, uint8_t *tag) {
    g->open(expanded, state, out, in, count, nonce, aad, aad_count, tag, 16);
}
/* Seals bytes and one byte behind them, which stands elsewhere. */
static inline void sluice_gcm_seal_with(const struct sluice_gcm *g, const void *expanded, void *state, uint8_t *out,
                                        const uint8_t *in, size_t count, uint8_t last, const uint8_t *nonce,
                                        const uint8_t *aad, size_t aad_count, uint8_t *tag) {
    g->begin(expanded, state, nonce, aad, aad_count);
    g->add(expanded, state, out, in, count);
    g->add(expanded, state, out + count, &last, 1);
    g->end(expanded, state, tag, 16);
}

/* Whether the processor has all that a form of the library is made of, and the kernel keeps the registers for it. */
static inline int sluice_has_avx2(void) {
#if defined(__x86_64__)
    return CPU_FEATURE_ACTIVE(AES) && CPU_FEATURE_ACTIVE(PCLMULQDQ) && CPU_FEATURE_ACTIVE(AVX)
        && CPU_FEATURE_ACTIVE(AVX2) && CPU_FEATURE_ACTIVE(BMI2) && CPU_FEATURE_ACTIVE(CMOV);
#else
    return 0;
#endif
}
static inline int sluice_has_vaes_avx512(void) {
#if defined(__x86_64__)
    return sluice_has_avx2() && CPU_FEATURE_ACTIVE(AVX512F) && CPU_FEATURE_ACTIVE(AVX512DQ)
        && CPU_FEATURE_ACTIVE(AVX512CD) && CPU_FEATURE_ACTIVE(AVX512BW) && CPU_FEATURE_ACTIVE(AVX512VL)
        && CPU_FEATURE_ACTIVE(VAES) && CPU_FEATURE_ACTIVE(VPCLMULQDQ) && CPU_FEATURE_ACTIVE(GFNI)
        && CPU_FEATURE_ACTIVE(AVX512_IFMA);
#else
    return 0;
#endif
}
