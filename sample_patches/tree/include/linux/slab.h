/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sample tree: memory. */
#ifndef _LINUX_SLAB_H
#define _LINUX_SLAB_H

#include <linux/types.h>

#define GFP_KERNEL_ACCOUNT 1u

void *kzalloc(size_t size, gfp_t flags);
void kfree(const void *object);

#endif
