/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <zlib.h>

/* deflateInit2 is a macro, too. */
static inline int sluice_deflateInit(z_streamp stream, int level, int windowBits) {
    return deflateInit2(stream, level, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY);
}

/* inflateInit2 is a macro, which Swift does not see. */
static inline int sluice_inflateInit(z_streamp stream, int windowBits) {
    return inflateInit2(stream, windowBits);
}
