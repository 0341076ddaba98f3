/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sample tree: a virtual machine, as far as its interrupts go. */
#ifndef __KVM_HOST_H
#define __KVM_HOST_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>

#define KVM_USERSPACE_IRQ_SOURCE_ID		0
#define KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID	1

#define KVM_IRQFD_FLAG_DEASSIGN			(1u << 0)
#define KVM_IRQFD_FLAG_RESAMPLE			(1u << 1)

struct kvm_irqfd {
	int fd;
	int gsi;
	u32 flags;
	int resamplefd;
};

struct kvm_irq_ack_notifier {
	struct list_head link;
	int gsi;
	void (*irq_acked)(struct kvm_irq_ack_notifier *kian);
};

struct kvm {
	struct {
		spinlock_t lock;
		struct list_head items;
		/* readers of the next list hold irq_srcu, writers resampler_lock */
		struct list_head resampler_list;
		struct mutex resampler_lock;
	} irqfds;

	struct list_head irq_ack_notifier_list;
	struct srcu_struct irq_srcu;
	struct mutex irq_lock;
	int irq_level[32];
};

int kvm_set_irq(struct kvm *kvm, int irq_source_id, u32 irq, int level, bool line_status);
void kvm_notify_acked_gsi(struct kvm *kvm, int gsi);
void kvm_register_irq_ack_notifier(struct kvm *kvm, struct kvm_irq_ack_notifier *kian);
void kvm_unregister_irq_ack_notifier(struct kvm *kvm, struct kvm_irq_ack_notifier *kian);
void kvm_eventfd_init(struct kvm *kvm);
int kvm_irqfd(struct kvm *kvm, struct kvm_irqfd *args);
void kvm_irqfd_release(struct kvm *kvm);
int kvm_irqfd_init(void);
void kvm_irqfd_exit(void);
int kvm_irq_init(struct kvm *kvm);
void kvm_irq_exit(struct kvm *kvm);

#endif
