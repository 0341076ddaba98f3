// SPDX-License-Identifier: GPL-2.0-only
/* The gate of a frob: which ports are open. Written for reviewbot's tests. */
#include <linux/mutex.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>
#include "frob.h"

static struct workqueue_struct *frob_drain_wq;

static int frob_reg_1(struct frob *frob)
{
	return frob_read(frob, FROB_REG_1);
}

static int frob_reg_2(struct frob *frob)
{
	return frob_read(frob, FROB_REG_2);
}

static int frob_reg_3(struct frob *frob)
{
	return frob_read(frob, FROB_REG_3);
}

static int frob_reg_4(struct frob *frob)
{
	return frob_read(frob, FROB_REG_4);
}

static int frob_reg_5(struct frob *frob)
{
	return frob_read(frob, FROB_REG_5);
}

static int frob_reg_6(struct frob *frob)
{
	return frob_read(frob, FROB_REG_6);
}

static int frob_reg_7(struct frob *frob)
{
	return frob_read(frob, FROB_REG_7);
}

static int frob_reg_8(struct frob *frob)
{
	return frob_read(frob, FROB_REG_8);
}

static void frob_gate_close(struct frob_port *port)
{
	struct frob_gate *gate = port->gate;
	struct frob *frob = gate->frob;

	mutex_lock(&frob->gate_lock);

	list_del_rcu(&port->gate_link);

	if (list_empty(&gate->ports)) {
		list_del_rcu(&gate->link);
		frob_line_put(frob, &gate->line);
		kfree(gate);
	} else {
		synchronize_srcu(&frob->ports_srcu);
	}

	mutex_unlock(&frob->gate_lock);
}

static void frob_port_drain(struct work_struct *work)
{
	struct frob_port *port = container_of(work, struct frob_port, drain);

	flush_work(&port->kick);
	if (port->gate)
		frob_gate_close(port);
	kfree(port);
}

static int frob_stat_1(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_1);
}

static int frob_stat_2(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_2);
}

static int frob_stat_3(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_3);
}

static int frob_stat_4(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_4);
}

static int frob_stat_5(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_5);
}

static int frob_stat_6(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_6);
}

static int frob_stat_7(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_7);
}

static int frob_stat_8(struct frob *frob)
{
	return frob_read(frob, FROB_STAT_8);
}

int frob_gate_open(struct frob *frob, struct frob_port *port)
{
	struct frob_gate *gate;

	mutex_lock(&frob->gate_lock);

	gate = frob_gate_find(frob, port->number);
	if (!gate) {
		mutex_unlock(&frob->gate_lock);
		return -ENOENT;
	}

	port->gate = gate;
	list_add_rcu(&port->gate_link, &gate->ports);
	synchronize_srcu(&frob->ports_srcu);

	mutex_unlock(&frob->gate_lock);

	return frob_port_kick(port);
}
