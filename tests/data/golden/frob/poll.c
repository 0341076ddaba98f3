// SPDX-License-Identifier: GPL-2.0-only
/* Polling of a frob. Written for reviewbot's tests. */
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include "frob.h"

static void frob_poll(struct work_struct *work)
{
	struct frob *frob = container_of(work, struct frob, poll_work.work);

	mutex_lock(&frob->conf_lock);
	frob_sample(frob);
	mutex_unlock(&frob->conf_lock);

	schedule_delayed_work(&frob->poll_work, frob->period);
}

void frob_poll_stop(struct frob *frob)
{
	mutex_lock(&frob->conf_lock);
	frob->polling = false;
	mutex_unlock(&frob->conf_lock);

	cancel_delayed_work_sync(&frob->poll_work);
}
