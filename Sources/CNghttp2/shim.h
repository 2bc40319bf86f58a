/* SPDX-License-Identifier: Apache-2.0 */
/* nghttp2 as 1.52 and later have it, and malloc's own word for the size of an object. */
#pragma once
#include <malloc.h>
#include <nghttp2/nghttp2.h>
