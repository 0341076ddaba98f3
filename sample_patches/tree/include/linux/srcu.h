/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sample tree: sleepable RCU. */
#ifndef _LINUX_SRCU_H
#define _LINUX_SRCU_H

#include <linux/workqueue.h>

struct srcu_struct {
	unsigned long completed;
	struct work_struct work;	/* what a grace period needs a worker for */
};

int init_srcu_struct(struct srcu_struct *ssp);
void cleanup_srcu_struct(struct srcu_struct *ssp);
int srcu_read_lock(struct srcu_struct *ssp);
void srcu_read_unlock(struct srcu_struct *ssp, int idx);
int srcu_read_lock_held(const struct srcu_struct *ssp);
void synchronize_srcu(struct srcu_struct *ssp);
void synchronize_srcu_expedited(struct srcu_struct *ssp);

#endif
