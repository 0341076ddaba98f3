/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sample tree: an event descriptor that raises an interrupt of a virtual machine. */
#ifndef __LINUX_KVM_IRQFD_H
#define __LINUX_KVM_IRQFD_H

#include <linux/kvm_host.h>

/* One for each level-triggered interrupt, shared by all descriptors that raise it. */
struct kvm_kernel_irqfd_resampler {
	struct kvm *kvm;
	struct list_head list;			/* of irqfds, through resampler_link */
	struct kvm_irq_ack_notifier notifier;
	struct list_head link;			/* in kvm->irqfds.resampler_list */
};

struct kvm_kernel_irqfd {
	struct kvm *kvm;
	int gsi;
	struct eventfd_ctx *eventfd;
	struct list_head list;			/* in kvm->irqfds.items */
	struct work_struct inject;
	struct work_struct shutdown;
	/* the rest only for level-triggered interrupts */
	struct kvm_kernel_irqfd_resampler *resampler;
	struct eventfd_ctx *resamplefd;
	struct list_head resampler_link;
};

#endif
