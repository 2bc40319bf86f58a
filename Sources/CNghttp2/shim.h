/* SPDX-License-Identifier: Apache-2.0 */
/* nghttp2 as 1.61 and later have it, and Debian's 1.52 with its security updates, from which
   nghttp2_option_set_max_continuations is; and malloc's own word for the size of an object. */
#pragma once
#include <malloc.h>
#include <nghttp2/nghttp2.h>
