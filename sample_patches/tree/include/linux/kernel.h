/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sample tree: helpers that every file uses. */
#ifndef _LINUX_KERNEL_H
#define _LINUX_KERNEL_H

#include <linux/types.h>

#define EAGAIN		11
#define ENOMEM		12
#define EBUSY		16
#define EINVAL		22

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define WARN_ON(condition)	(!!(condition))
#define MAX_ERRNO		4095

static inline bool IS_ERR(const void *ptr)
{
	return (unsigned long)ptr >= (unsigned long)-MAX_ERRNO;
}

static inline long PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

#endif
