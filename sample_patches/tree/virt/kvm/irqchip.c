// SPDX-License-Identifier: GPL-2.0-or-later
/* Sample tree: interrupt lines, read under SRCU. */

#include <linux/kernel.h>
#include <linux/kvm_host.h>
#include <linux/srcu.h>

int kvm_set_irq(struct kvm *kvm, int irq_source_id, u32 irq, int level, bool line_status)
{
	int idx, before;

	if (irq >= sizeof(kvm->irq_level) / sizeof(kvm->irq_level[0]))
		return -EINVAL;

	idx = srcu_read_lock(&kvm->irq_srcu);
	before = kvm->irq_level[irq];
	kvm->irq_level[irq] = level;
	if (before && !level && irq_source_id == KVM_USERSPACE_IRQ_SOURCE_ID)
		kvm_notify_acked_gsi(kvm, irq);
	srcu_read_unlock(&kvm->irq_srcu, idx);

	return line_status ? before != level : 0;
}

int kvm_irq_init(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->irq_ack_notifier_list);
	mutex_init(&kvm->irq_lock);
	return init_srcu_struct(&kvm->irq_srcu);
}

void kvm_irq_exit(struct kvm *kvm)
{
	kvm_irqfd_release(kvm);
	cleanup_srcu_struct(&kvm->irq_srcu);
}
