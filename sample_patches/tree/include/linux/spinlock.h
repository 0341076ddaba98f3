/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sample tree: spinning locks. */
#ifndef _LINUX_SPINLOCK_H
#define _LINUX_SPINLOCK_H

#include <linux/types.h>

typedef struct {
	atomic_t value;
} spinlock_t;

void spin_lock_init(spinlock_t *lock);
void spin_lock_irq(spinlock_t *lock);
void spin_unlock_irq(spinlock_t *lock);

#endif
