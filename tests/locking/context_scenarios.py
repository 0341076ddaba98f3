# SPDX-License-Identifier: GPL-2.0-or-later
"""Hazards that need to know who calls: frameworks, interrupts, users of files."""

from __future__ import annotations

from reviewbot.locking.model import HazardKind as Kind
from tests.locking.scenario import DEV, HANDLER, LOCK, Scenario
from tests.locking.support import Files

CORE = "drivers/dev/core.c"
RTNL = "net/core/rtnetlink.c:rtnl_mutex"
NETWORK: Files = {
    "net/core/rtnetlink.c": """\
static DEFINE_MUTEX(rtnl_mutex);
void rtnl_lock(void)
{
	mutex_lock(&rtnl_mutex);
}
void rtnl_unlock(void)
{
	mutex_unlock(&rtnl_mutex);
}
""",
    "include/linux/netdevice.h": """\
struct net_device;
struct net_device_ops {
	int (*ndo_open)(struct net_device *dev);
	int (*ndo_stop)(struct net_device *dev);
	int (*ndo_start_xmit)(struct sk_buff *skb, struct net_device *dev);
};
""",
}
NETDEV = """
static void dev_work(struct work_struct *work)
{
	rtnl_lock();
	update(work);
	rtnl_unlock();
}

static int dev_stop(struct net_device *dev)
{
	struct dev *d = netdev_priv(dev);

@@
	return 0;
}

static const struct net_device_ops dev_ops = {
	.ndo_stop = dev_stop,
};

void dev_setup(struct dev *d)
{
	INIT_WORK(&d->work, dev_work);
}
"""
TIMER = """
static void dev_timer(struct timer_list *t)
{
	struct dev *d = from_timer(d, t, timer);

	spin_lock(&d->slock);
	d->dead++;
	spin_unlock(&d->slock);
}

void dev_start(struct dev *d)
{
	timer_setup(&d->timer, dev_timer, 0);
}
"""
REFRESHED = "static void refresh(struct dev *d)\n{\n@@\n}\n" + TIMER.replace(
    "\tspin_lock(", "\trefresh(d);\n\tspin_lock("
)
SHOW = """
static ssize_t state_show(struct device *device, struct device_attribute *attr, char *buf)
{
	struct dev *d = dev_get_drvdata(device);

@@
	return 0;
}
static DEVICE_ATTR_RO(state);
"""
PLAIN_LOCK = "\tspin_lock(&d->slock);\n\td->dead++;\n\tspin_unlock(&d->slock);"
BH_LOCK = "\tspin_lock_bh(&d->slock);\n\td->dead++;\n\tspin_unlock_bh(&d->slock);"
IRQ_LOCK = (
    "\tspin_lock_irqsave(&d->slock, flags);\n\td->dead++;\n"
    "\tspin_unlock_irqrestore(&d->slock, flags);"
)
HARD = TIMER.replace(
    "static void dev_timer(struct timer_list *t)\n{\n\tstruct dev *d = from_timer(d, t, timer);\n",
    "static irqreturn_t dev_irq(int irq, void *data)\n{\n\tstruct dev *d = data;\n",
).replace("timer_setup(&d->timer, dev_timer, 0)", "request_irq(d->irq, dev_irq, 0, NULL, d)")
POLLED = """
static void poll(struct timer_list *unused);
static DEFINE_TIMER(poller, poll);
"""
POLL = (
    POLLED
    + """
static DEFINE_SPINLOCK(polled);
static void poll(struct timer_list *unused)
{
	spin_lock(&polled);
	spin_unlock(&polled);
}

void dev_stop(void)
{
@@
}
"""
)
POLL_EACH = (
    HARD
    + POLLED
    + """
static int poll_one(struct device *device, void *unused)
{
	struct dev *d = dev_get_drvdata(device);

@@
	return 0;
}

static void poll(struct timer_list *unused)
{
	driver_for_each_device(&driver, NULL, NULL, poll_one);
}
"""
)
QUEUED = (
    HANDLER
    + """
static struct workqueue_struct *busy;

void dev_queue(struct dev *d, struct work_struct *work)
{
	queue_work(busy, work);
}

void dev_kick(struct dev *d)
{
	dev_queue(d, &d->work);
}

void dev_stop(struct dev *d)
{
@@
}
"""
)
THREAD = """
static int dev_thread(void *data)
{
	struct dev *d = data;

	mutex_lock(&d->lock);
	mutex_unlock(&d->lock);
	return 0;
}

void dev_start(struct dev *d)
{
	struct task_struct *task;

	task = kthread_create(dev_thread, d, "dev");
	if (IS_ERR(task))
		return;
	rcu_assign_pointer(d->thread, task);
}

void dev_stop(struct dev *d)
{
	struct task_struct *task = NULL;

	mutex_lock(&d->lock);
	task = rcu_dereference_protected(d->thread, lockdep_is_held(&d->lock));
@@
}
"""
STATISTICS = """
static void dev_get_stats(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
@@
}

static const struct net_device_ops dev_ops = {
	.ndo_get_stats64 = dev_get_stats,
};
"""
DEBUGFS = """
static DEFINE_MUTEX(files);
static int info_show(struct seq_file *m, void *v)
{
	mutex_lock(&files);
	print(m);
	mutex_unlock(&files);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(info);

void dev_add(struct dev *d)
{
	d->dir = debugfs_create_file("dev", 0444, NULL, d, &info_fops);
}

void dev_del(struct dev *d)
{
@@
}
"""
USB: Files = {
    "include/linux/usb.h": """\
struct usb_driver {
	int (*pre_reset)(struct usb_interface *intf);
};
struct usb_bound {
	struct usb_driver *driver;
};
""",
    "drivers/usb/core/hub.c": """\
int usb_reset(struct usb_bound *bound)
{
	bound->driver->pre_reset(bound->intf);
	return 0;
}
""",
}
RESET = """
static int dev_pre_reset(struct usb_interface *intf)
{
	struct dev *d = usb_get_intfdata(intf);

	mutex_lock(&d->lock);
	d->dead++;
	mutex_unlock(&d->lock);
	return 0;
}

void dev_resume(struct dev *d, struct usb_bound *bound)
{
@@
}

static struct usb_driver dev_driver = {
	.pre_reset = dev_pre_reset,
};
"""


MAPPING = """
static int dev_mmap(struct file *f, struct vm_area_struct *vma)
{
	struct dev *d = f->private_data;

	mutex_lock(&d->lock);
	d->dead++;
	mutex_unlock(&d->lock);
	return 0;
}

long dev_read(struct dev *d, char *to, long size)
{
	long left = 0;

@@
	return left;
}

static const struct file_operations dev_files = {
	.mmap = dev_mmap,
};
"""


def in_kernel(
    kind: Kind, classes: str, site: str, text: str, bad: str, good: str, rest: Files | None = None
) -> Scenario:
    """A driver among other files, with *bad* or *good* at the mark."""
    function, _, via = site.partition(">")

    def kernel(body: str) -> Files:
        return {CORE: DEV + text.replace("@@", body), **(rest or {})}

    return Scenario(kind, tuple(classes.split("|")), ((function, via),), kernel(bad), kernel(good))


CONTEXT_SCENARIOS: dict[str, Scenario] = {
    "flush under a framework's lock": in_kernel(
        Kind.FLUSH_CYCLE, f"{RTNL}|work struct dev.work", "dev_stop", NETDEV,
        "\tcancel_work_sync(&d->work);", "\tcancel_work(&d->work);", NETWORK,
    ),
    "recursion on a framework's lock": in_kernel(
        Kind.RECURSIVE_LOCK, RTNL, "dev_stop", NETDEV,
        "\trtnl_lock();\n\trtnl_unlock();", "\tupdate(dev);", NETWORK,
    ),
    "softirq takes it too": in_kernel(
        Kind.LOCK_ORDER_INVERSION, "struct dev.slock|timer struct dev.timer", "state_show",
        TIMER + SHOW, PLAIN_LOCK, BH_LOCK,
    ),
    "interrupt takes it too": in_kernel(
        Kind.LOCK_ORDER_INVERSION, "struct dev.slock|irq struct dev.irq", "state_show",
        HARD + SHOW, BH_LOCK, IRQ_LOCK,
    ),
    "interrupt takes what a timer takes": in_kernel(
        Kind.LOCK_ORDER_INVERSION, "struct dev.slock|irq struct dev.irq", "dev_timer",
        HARD + TIMER.replace("dev_start", "dev_arm").replace(
            "\tspin_lock(&d->slock);\n\td->dead++;\n\tspin_unlock(&d->slock);", "@@"
        ),
        BH_LOCK, IRQ_LOCK,
    ),
    "interrupt takes what a timer has each device take": in_kernel(
        Kind.LOCK_ORDER_INVERSION, "struct dev.slock|irq struct dev.irq", "poll_one",
        POLL_EACH, PLAIN_LOCK, IRQ_LOCK,
    ),
    "timer of file scope stopped under its lock": in_kernel(
        Kind.FLUSH_CYCLE, f"{CORE}:polled|timer {CORE}:poller", "dev_stop", POLL,
        "\tspin_lock_bh(&polled);\n\ttimer_delete_sync(&poller);\n\tspin_unlock_bh(&polled);",
        "\ttimer_delete_sync(&poller);",
    ),
    "flush of a queue that a helper fills": in_kernel(
        Kind.FLUSH_CYCLE, f"{LOCK}|workqueue {CORE}:busy", "dev_stop", QUEUED,
        "\tmutex_lock(&d->lock);\n\tflush_workqueue(busy);\n\tmutex_unlock(&d->lock);",
        "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n\tflush_workqueue(busy);",
    ),
    "stop of a thread that was kept": in_kernel(
        Kind.FLUSH_CYCLE, f"{LOCK}|kthread struct dev.thread", "dev_stop", THREAD,
        "\tkthread_stop(task);\n\tmutex_unlock(&d->lock);",
        "\tmutex_unlock(&d->lock);\n\tkthread_stop(task);",
    ),
    "sleep where statistics are asked": in_kernel(
        Kind.SLEEP_IN_ATOMIC, "rcu_read_lock", "dev_get_stats", STATISTICS,
        "\tmsleep(1);", "\tudelay(1);",
    ),
    "debugfs removed under its lock": in_kernel(
        Kind.FLUSH_CYCLE, f"{CORE}:files|debugfs {CORE}", "dev_del", DEBUGFS,
        "\tmutex_lock(&files);\n\tdebugfs_remove(d->dir);\n\tmutex_unlock(&files);",
        "\tmutex_lock(&files);\n\tmutex_unlock(&files);\n\tdebugfs_remove(d->dir);",
    ),
    "sysfs removed under its lock": in_kernel(
        Kind.FLUSH_CYCLE, f"{LOCK}|sysfs {CORE}", "dev_gone",
        SHOW.replace("@@", "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);")
        + "void dev_gone(struct dev *d, struct device *device)\n{\n@@\n}\n",
        "\tmutex_lock(&d->lock);\n\tdevice_remove_file(device, &dev_attr_state);\n"
        "\tmutex_unlock(&d->lock);",
        "\tdevice_remove_file(device, &dev_attr_state);",
    ),
    "allocation that may sleep": in_kernel(
        Kind.SLEEP_IN_ATOMIC, "struct dev.slock", "refill",
        "void refill(struct dev *d)\n{\n@@\n}\n",
        "\tspin_lock(&d->slock);\n\td->buf = kmalloc(32, GFP_KERNEL);\n\tspin_unlock(&d->slock);",
        "\tspin_lock(&d->slock);\n\td->buf = kmalloc(32, GFP_ATOMIC);\n\tspin_unlock(&d->slock);",
    ),
    "a pool that may wait": in_kernel(
        Kind.SLEEP_IN_ATOMIC, "struct dev.slock", "refill",
        "void refill(struct dev *d)\n{\n@@\n}\n",
        "\tspin_lock(&d->slock);\n\td->buf = mempool_alloc(d->pool, GFP_KERNEL);\n"
        "\tspin_unlock(&d->slock);",
        "\tspin_lock(&d->slock);\n\td->buf = mempool_alloc(d->pool, GFP_ATOMIC);\n"
        "\tspin_unlock(&d->slock);",
    ),
    "an array that allocates under another lock": in_kernel(
        Kind.SLEEP_IN_ATOMIC, "struct dev.slock", "store_add",
        "struct store { struct xarray ids; };\n"
        "void store_add(struct store *s, struct dev *d)\n{\n@@\n}\n",
        "\tspin_lock(&d->slock);\n\t__xa_insert(&s->ids, d->id, d, GFP_KERNEL);\n"
        "\tspin_unlock(&d->slock);",
        "\tspin_lock(&d->slock);\n\t__xa_insert(&s->ids, d->id, d, GFP_ATOMIC);\n"
        "\tspin_unlock(&d->slock);",
    ),
    "the framework calls back": in_kernel(
        Kind.RECURSIVE_LOCK, LOCK, "dev_resume>usb_reset", RESET,
        "\tmutex_lock(&d->lock);\n\tusb_reset(bound);\n\tmutex_unlock(&d->lock);",
        "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n\tusb_reset(bound);", USB,
    ),
    "a timer that sleeps": in_kernel(
        Kind.SLEEP_IN_ATOMIC, "timer struct dev.timer", "dev_timer",
        REFRESHED,
        "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);", "\td->dead++;",
    ),
    "a page fault under the mapping's lock": in_kernel(
        Kind.LOCK_ORDER_INVERSION, f"{LOCK}|struct mm_struct.mmap_lock", "dev_read",
        MAPPING,
        "\tmutex_lock(&d->lock);\n\tleft = copy_to_user(to, d->buf, size);\n"
        "\tmutex_unlock(&d->lock);",
        "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n"
        "\tleft = copy_to_user(to, d->buf, size);",
        {"include/linux/fs.h": "struct file_operations {\n"
         "\tint (*mmap)(struct file *f, struct vm_area_struct *vma);\n};\n"},
    ),
    "alias through a void pointer": in_kernel(
        Kind.FLUSH_CYCLE, f"{LOCK}|work struct dev.work", "dev_quit",
        HANDLER + "struct bus { void *data; };\nvoid dev_quit(struct bus *bus)\n{\n"
        "\tstruct dev *d = bus->data;\n\n@@\n}\n",
        "\tmutex_lock(&d->lock);\n\tcancel_work_sync(&d->work);\n\tmutex_unlock(&d->lock);",
        "\tcancel_work_sync(&d->work);\n\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);",
    ),
}  # fmt: skip

DRIVER_CORE = """
void device_lock(struct dev *d)
{
	mutex_lock(&d->lock);
}
void device_unlock(struct dev *d)
{
	mutex_unlock(&d->lock);
}
void device_initialize(struct dev *d)
{
	mutex_init(&d->lock);
	lockdep_set_novalidate_class(&d->lock);
}
"""
CONTEXT_NEAR_MISSES: dict[str, str] = {
    "a spinlock that cannot be told spins all the same": """
static void dev_timer(struct timer_list *t)
{
	spin_lock(&table[hash(t)]->lock);
	spin_unlock(&table[hash(t)]->lock);
}
void dev_start(struct dev *d)
{
	timer_setup(&d->timer, dev_timer, 0);
}
""",
    "a loop that remembers that it holds it": """
void walk(struct dev *d, struct list *l)
{
	struct seen r = {};
	int i;

	for (i = 0; i < 4; i++) {
		if (!*r.found[i]) {
			*r.found[i] = 1;
			mutex_lock(&d->lock);
		}
		visit(d, &r);
	}
	if (*r.found[i])
		mutex_unlock(&d->lock);
}
""",
    "whatever lock a function returns": """
void forward(struct dev *d, void *x)
{
	spinlock_t *p = find_lock(x);

	spin_lock(&d->slock);
	spin_lock(p);
	spin_unlock(p);
	spin_unlock(&d->slock);
}
void backward(struct dev *d, void *x)
{
	spinlock_t *p = find_lock(x);

	spin_lock(p);
	spin_lock(&d->slock);
	spin_unlock(&d->slock);
	spin_unlock(p);
}
""",
    "only softirqs take it": TIMER
    + """
static int dev_poll(struct napi_struct *napi, int budget)
{
	struct dev *d = container_of(napi, struct dev, napi);

	spin_lock(&d->slock);
	spin_unlock(&d->slock);
	return 0;
}
void dev_add(struct dev *d)
{
	netif_napi_add(d->ndev, &d->napi, dev_poll);
}
""",
    "a task that keeps softirqs out": TIMER + SHOW.replace("@@", BH_LOCK),
    "called with interrupts off": TIMER
    + "static void count(struct dev *d)\n{\n\tspin_lock(&d->slock);\n\tspin_unlock(&d->slock);\n}\n"
    + SHOW.replace("@@", "\tlocal_irq_disable();\n\tcount(d);\n\tlocal_irq_enable();"),
    "who knows where it runs": TIMER
    + "void count(struct dev *d)\n{\n\tspin_lock(&d->slock);\n\tspin_unlock(&d->slock);\n}\n",
    "a threaded handler": TIMER.replace("timer_setup(&d->timer, dev_timer, 0)", "")
    + """
static irqreturn_t dev_thread(int irq, void *data)
{
	struct dev *d = data;

	spin_lock(&d->slock);
	spin_unlock(&d->slock);
	return 0;
}
void dev_add(struct dev *d)
{
	request_threaded_irq(d->irq, NULL, dev_thread, 0, NULL, d);
}
"""
    + SHOW.replace("@@", PLAIN_LOCK),
    "a class without order": DRIVER_CORE
    + """
void down_the_tree(struct dev *d)
{
	device_lock(d);
	mutex_lock(&first);
	mutex_unlock(&first);
	device_unlock(d);
}
void up_the_tree(struct dev *d)
{
	mutex_lock(&first);
	device_lock(d->parent);
	device_unlock(d->parent);
	mutex_unlock(&first);
}
""",
    "an allocation that may not sleep": """
void refill(struct dev *d, bool wait)
{
	spin_lock(&d->slock);
	d->buf = kmalloc(32, GFP_NOWAIT);
	spin_unlock(&d->slock);
	d->buf = kmalloc(32, GFP_KERNEL);
}
""",
    "freed after a grace period that is not awaited": """
#define kfree_rcu(ptr, rhf) kvfree_call_rcu(&(ptr)->rhf, ptr)
void kvfree_call_rcu(struct rcu_head *head, void *ptr)
{
	if (!head)
		synchronize_rcu();
}
void dev_drop(struct dev *d)
{
	spin_lock(&d->slock);
	kfree_rcu(d->buf, rcu);
	spin_unlock(&d->slock);
}
""",
    "a pool that is asked not to wait": """
void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	gfp_t first = gfp & ~__GFP_IO;

	if (!(first & __GFP_DIRECT_RECLAIM))
		return NULL;
	schedule_timeout(5 * HZ);
	return pool->free;
}
void refill(struct dev *d)
{
	spin_lock(&d->slock);
	d->buf = mempool_alloc(d->pool, GFP_ATOMIC);
	spin_unlock(&d->slock);
}
""",
    "an array that gives back its lock to allocate": """
#define xa_lock(xa)	spin_lock(&(xa)->xa_lock)
#define xa_unlock(xa)	spin_unlock(&(xa)->xa_lock)
struct xarray {
	spinlock_t xa_lock;
};
struct store {
	struct xarray ids;
};
int store_add(struct store *s, struct dev *d)
{
	xa_lock(&s->ids);
	int ret = __xa_insert(&s->ids, d->id, d, GFP_KERNEL);
	xa_unlock(&s->ids);
	return ret;
}
""",
    "a sysfs file that removes another": SHOW.replace(
        "@@",
        "\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);\n"
        "\tdevice_remove_file(device, &dev_attr_other);",
    ),
    "debugfs removed by who holds another lock": DEBUGFS.replace(
        "@@", "\tmutex_lock(&d->lock);\n\tdebugfs_remove(d->dir);\n\tmutex_unlock(&d->lock);"
    ),
}
