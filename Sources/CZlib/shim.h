/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <zlib.h>

/* inflateInit2 is a macro, which Swift does not see. */
static inline int sluice_inflateInit(z_streamp stream, int windowBits) {
    return inflateInit2(stream, windowBits);
}
