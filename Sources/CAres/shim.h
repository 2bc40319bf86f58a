/* SPDX-License-Identifier: Apache-2.0 */
/* c-ares as 1.18 and later have it; what newer ones call old is what both know. */
#pragma once
#define CARES_NO_DEPRECATED
#include <ares.h>
