# SPDX-License-Identifier: GPL-2.0-or-later
"""What frameworks run under their own locks, and who waits for it to end."""

from __future__ import annotations

import pytest

from reviewbot.locking.interrupts import contexts
from reviewbot.locking.model import Grade, HazardKind, Verdict
from tests.locking.context_scenarios import DRIVER_CORE, HARD, TIMER
from tests.locking.scenario import one
from tests.locking.support import CLAIM, Lab, kinds, of_kind, removed, removed_if_asked

HOTPLUG = """
int cpuhp_setup_state(int state, const char *name, int (*startup)(int), int (*teardown)(int))
{
	return store(state, name, startup, teardown);
}
"""
DYING = """
static DEFINE_MUTEX(pool);
static int pool_dying(unsigned int cpu)
{
	mutex_lock(&pool);
	mutex_unlock(&pool);
	return 0;
}
int pool_init(void)
{
	return cpuhp_setup_state(1, "pool", NULL, pool_dying);
}
void pool_resize(void)
{
@@
}
"""


def test_a_function_that_is_handed_to_a_framework_runs_under_its_lock(lab: Lab) -> None:
    inside = (
        "\tmutex_lock(&pool);\n\tcpus_read_lock();\n\tcpus_read_unlock();\n\tmutex_unlock(&pool);"
    )
    outside = (
        "\tcpus_read_lock();\n\tmutex_lock(&pool);\n\tmutex_unlock(&pool);\n\tcpus_read_unlock();"
    )
    before, after = (
        {"kernel/cpu.c": HOTPLUG, "lib/pool.c": DYING.replace("@@", body)}
        for body in (inside, outside)
    )
    hazard = removed(lab.review(before, after), HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"lib/pool.c:pool", "cpu_hotplug_lock"}
    with lab.views(before) as (view,):
        dying = next(r for r in view.functions_in("lib/pool.c") if r.name == "pool_dying")
        assert not contexts(view, dying.id)  # with interrupts on or off, by when it is called


def test_a_callback_under_a_frameworks_spinlock_must_not_sleep(lab: Lab) -> None:
    text = """
struct input_dev {
	spinlock_t event_lock;
	int (*event)(struct input_dev *dev, unsigned int type);
};
static int beep(struct input_dev *dev, unsigned int type)
{
	@@;
	return 0;
}
void probe(struct input_dev *dev)
{
	dev->event = beep;
}
"""
    comparison = lab.review(
        {"drivers/beep.c": text.replace("@@", "msleep(1)")},
        {"drivers/beep.c": text.replace("@@", "schedule_work(&work)")},
    )
    hazard = removed(comparison, HazardKind.SLEEP_IN_ATOMIC)
    assert hazard.classes == ("struct input_dev.event_lock",)


RTNL = """
static DEFINE_MUTEX(rtnl_mutex);
void rtnl_lock(void)
{
	mutex_lock(&rtnl_mutex);
}
void rtnl_unlock(void)
{
	mutex_unlock(&rtnl_mutex);
}
"""
LISTENER = """
struct listener {
	struct mutex lock;
	struct notifier_block nb;
};
static DEFINE_MUTEX(list);
static int heard(struct notifier_block *nb, unsigned long event, void *data)
{
	mutex_lock(&list);
	mutex_unlock(&list);
	return 0;
}
static struct notifier_block block = {
	.notifier_call = heard,
};
int listen(struct listener *l)
{
@@
}
void empty(struct listener *l)
{
##
}
"""


@pytest.mark.parametrize(
    "registering",
    [
        "\treturn register_netdevice_notifier(&block);",
        "\tl->nb.notifier_call = heard;\n\treturn register_netdevice_notifier(&l->nb);",
    ],
    ids=["written down", "filled in"],
)
def test_a_notifier_runs_under_the_lock_of_its_chain(lab: Lab, registering: str) -> None:
    inside = "\tmutex_lock(&list);\n\trtnl_lock();\n\trtnl_unlock();\n\tmutex_unlock(&list);"
    outside = "\trtnl_lock();\n\tmutex_lock(&list);\n\tmutex_unlock(&list);\n\trtnl_unlock();"
    listener = LISTENER.replace("@@", registering)
    before, after = (
        {"net/core/rtnetlink.c": RTNL, "net/l.c": listener.replace("##", body)}
        for body in (inside, outside)
    )
    hazard = removed(lab.review(before, after), HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"net/l.c:list", "net/core/rtnetlink.c:rtnl_mutex"}


@pytest.mark.parametrize("block", ["block", "l->nb"], ids=["written down", "filled in"])
def test_who_leaves_a_chain_waits_for_the_notifier(lab: Lab, block: str) -> None:
    chain = """
static BLOCKING_NOTIFIER_HEAD(chain);
int leave(struct notifier_block *nb)
{
	return blocking_notifier_chain_unregister(&chain, nb);
}
"""
    listener = LISTENER.replace("@@", "\tl->nb.notifier_call = heard;\n\treturn 0;")
    inside = f"\tmutex_lock(&list);\n\tleave(&{block});\n\tmutex_unlock(&list);"
    outside = f"\tmutex_lock(&list);\n\tmutex_unlock(&list);\n\tleave(&{block});"
    before, after = (
        {"net/chain.c": chain, "net/l.c": listener.replace("##", body)}
        for body in (inside, outside)
    )
    hazard = removed(lab.review(before, after, claim=CLAIM), HazardKind.FLUSH_CYCLE)
    assert hazard.classes[0] == "net/l.c:list"
    assert hazard.classes[1].startswith("notifier ")


def test_resuming_a_device_runs_its_driver(lab: Lab) -> None:
    text = """
static int chip_resume(struct device *dev)
{
	rtnl_lock();
	rtnl_unlock();
	return 0;
}
static const struct dev_pm_ops chip_pm = {
	RUNTIME_PM_OPS(NULL, chip_resume, NULL)
};
static int chip_open(struct net_device *dev)
{
@@
	return 0;
}
static const struct net_device_ops chip_ops = {
	.ndo_open = chip_open,
};
"""
    before, after = (
        {"net/core/rtnetlink.c": RTNL, "drivers/net/chip.c": text.replace("@@", body)}
        for body in ("\tpm_runtime_get_sync(dev->parent);", "\tpm_runtime_get(dev->parent);")
    )
    hazard = removed(lab.review(before, after), HazardKind.RECURSIVE_LOCK)
    assert hazard.classes == ("net/core/rtnetlink.c:rtnl_mutex",)


def test_an_address_list_is_written_where_its_owner_calls(lab: Lab) -> None:
    text = """
static int chip_add(struct net_device *dev, const unsigned char *addr)
{
	@@;
	return 0;
}
static int chip_remove(struct net_device *dev, const unsigned char *addr)
{
	return 0;
}
static void chip_rx_mode(struct net_device *dev)
{
	__dev_mc_sync(dev, chip_add, chip_remove);
}
static const struct net_device_ops chip_ops = {
	.ndo_set_rx_mode = chip_rx_mode,
};
"""
    comparison = lab.review(
        {"drivers/net/chip.c": text.replace("@@", "msleep(1)")},
        {"drivers/net/chip.c": text.replace("@@", "udelay(1)")},
    )
    hazard = removed(comparison, HazardKind.SLEEP_IN_ATOMIC)
    assert hazard.classes == ("struct net_device.addr_list_lock",)


def test_a_walker_runs_what_it_is_handed_under_its_own_lock(lab: Lab) -> None:
    """One that holds nothing hands it over; it is the walker that does."""
    walker = """
int table_scan(struct table *t, int (*one)(struct entry *, void *), void *data)
{
	struct entry *e;
	int err = 0;

	spin_lock(&t->lock);
	for (e = t->first; e && !err; e = e->next)
		err = one(e, data);
	spin_unlock(&t->lock);
	return err;
}
void table_drop(struct table *t, struct entry *e)
{
	spin_lock(&e->lock);
	spin_lock(&t->lock);
	spin_unlock(&t->lock);
	spin_unlock(&e->lock);
}
"""
    header = """
struct entry {
	spinlock_t lock;
	struct entry *next;
};
struct table {
	spinlock_t lock;
	struct entry *first;
};
"""
    user = """
static int look(struct entry *e, void *data)
{
@@
	return 0;
}
int look_at_all(struct table *t)
{
	return table_scan(t, look, NULL);
}
"""
    before, after = (
        {"include/linux/table.h": header, "lib/table.c": walker, "lib/user.c": user.replace(*pair)}
        for pair in (("@@", "\tspin_lock(&e->lock);\n\tspin_unlock(&e->lock);"), ("@@\n", ""))
    )
    hazard = removed(lab.review(before, after, claim=CLAIM), HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"struct table.lock", "struct entry.lock"}


def test_a_macro_may_hand_on_what_it_is_given(lab: Lab) -> None:
    """What its maker keeps is called with the lock of the object held."""
    header = """
struct link {
	struct mutex lock;
	int (*handler)(struct link *link);
};
#define make_link(handler, flags) __make_link(handler, flags, MODULE_NAME)
"""
    maker = """
struct link *__make_link(int (*handler)(struct link *link), int flags, const char *name)
{
	struct link *link = allocate(name, flags);

	link->handler = handler;
	return link;
}
static void link_event(struct link *link)
{
	mutex_lock(&link->lock);
	link->handler(link);
	mutex_unlock(&link->lock);
}
"""
    user = """
static DEFINE_MUTEX(ports);
static int port_event(struct link *link)
{
@@
	return 0;
}
struct link *port_open(void)
{
	return make_link(port_event, 0);
}
void port_close(struct link *link)
{
	mutex_lock(&ports);
	mutex_lock(&link->lock);
	mutex_unlock(&link->lock);
	mutex_unlock(&ports);
}
"""
    before, after = (
        {
            "include/linux/link.h": header,
            "lib/link.c": maker,
            "lib/port.c": user.replace("@@", body),
        }
        for body in ("\tmutex_lock(&ports);\n\tmutex_unlock(&ports);", "\tnote(link);")
    )
    hazard = removed(lab.review(before, after, claim=CLAIM), HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"lib/port.c:ports", "struct link.lock"}


@pytest.mark.parametrize(
    ("probe", "found"), [(("enable",), True), (("enable", "irq_safe"), False), ((), False)]
)
def test_a_driver_may_say_that_it_resumes_without_sleeping(
    lab: Lab, probe: tuple[str, ...], found: bool
) -> None:
    """Of what it does not enable nothing is known."""
    calls = "".join(f"\tpm_runtime_{verb}(c->dev);\n" for verb in probe)
    text = """
struct chip {
	spinlock_t lock;
	struct device *dev;
};
void chip_probe(struct chip *c)
{
%s}
void chip_kick(struct chip *c)
{
	spin_lock(&c->lock);
@@
	spin_unlock(&c->lock);
}
"""
    before, after = (
        {"drivers/chip.c": (text % calls).replace("@@", body)}
        for body in ("\tpm_runtime_get_sync(c->dev);", "\tpm_runtime_get(c->dev);")
    )
    comparison = lab.review(before, after)
    assert [h.kind for h in comparison.hazards] == [HazardKind.SLEEP_IN_ATOMIC] * found


@pytest.mark.parametrize("claim", [CLAIM, ""])
def test_a_callback_that_sleeps_in_a_reader_of_rcu(lab: Lab, claim: str) -> None:
    text = """
struct box;
struct box_ops {
	void (*put)(struct box *b);
};
struct box {
	const struct box_ops *ops;
};
static void slow_put(struct box *b)
{
	@@;
}
static const struct box_ops slow = {
	.put = slow_put,
};
void walk(struct box *b)
{
	rcu_read_lock();
	b->ops->put(b);
	rcu_read_unlock();
}
"""
    before, after = ({"lib/box.c": text.replace("@@", call)} for call in ("msleep(1)", "udelay(1)"))
    comparison = lab.review(before, after, claim=claim)
    assert comparison.verdict is (Verdict.REMOVED if claim else Verdict.CLEAN)


ATTRIBUTE = """
struct box {
	struct mutex lock;
	struct work_struct work;
	struct device dev;
	struct device_attribute shown;
};
static ssize_t box_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct box *b = container_of(dev, struct box, dev);
	mutex_lock(&b->lock);
	mutex_unlock(&b->lock);
	return 0;
}
static ssize_t box_read(struct file *f, struct kobject *k, struct bin_attribute *a, char *buf)
{
	struct box *b = container_of(k, struct box, dev.kobj);
	mutex_lock(&b->lock);
	mutex_unlock(&b->lock);
	return 0;
}
@@
static void box_gone(struct work_struct *w)
{
	struct box *b = container_of(w, struct box, work);
	device_del(&b->dev);
}
void box_make(struct box *b)
{
	INIT_WORK(&b->work, box_gone);
##
}
void box_free(struct box *b)
{
	mutex_lock(&b->lock);
	%s
	mutex_unlock(&b->lock);
}
"""


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        ("", "\tb->shown.show = box_show;"),
        ("static const struct bin_attribute data = {\n\t.read = box_read,\n};", ""),
    ],
    ids=["filled in", "written down"],
)
@pytest.mark.parametrize(
    ("waits", "claim"), [("device_del(&b->dev)", ""), ("flush_work(&b->work)", CLAIM)]
)
def test_who_removes_an_attribute_waits_for_its_users(
    lab: Lab, table: str, setting: str, waits: str, claim: str
) -> None:
    """And so does who waits for the work that removes it."""
    text = ATTRIBUTE.replace("@@", table).replace("##", setting)
    before, after = ({"drivers/box/box.c": text % body} for body in (f"{waits};", ";"))
    comparison = lab.review(before, after, claim=claim)
    assert comparison.verdict is Verdict.REMOVED
    assert of_kind(comparison, HazardKind.FLUSH_CYCLE).classes[0] == "struct box.lock"


SOCKET = """
DEFINE_MUTEX(families);
void sock_release(struct socket *s)
{
	s->ops->release(s);
}
"""
TUNNEL = """
struct tunnel {
	struct mutex lock;
	struct socket *socket;
};
static void tunnel_stop(struct tunnel *t)
{
	mutex_lock(&t->lock);
	sock_release(t->socket);
	mutex_unlock(&t->lock);
}
static void tunnel_list(struct tunnel *t)
{
	mutex_lock(&families);
@@
	mutex_unlock(&families);
}
"""
FAMILY = """
static int %s_release(struct socket *s)
{
	mutex_lock(&families);
	mutex_unlock(&families);
	return 0;
}
static const struct proto_ops %s_ops = {
	.release = %s_release,
};
"""


@pytest.mark.parametrize(
    ("where", "found"), [("net/can/%s.c", False), ("drivers/net/tunnel/%s.c", True)]
)
def test_what_a_driver_asks_for_is_of_its_own_object(lab: Lab, where: str, found: bool) -> None:
    """The socket of a tunnel is not one of another protocol's."""
    header = (
        "extern struct mutex families;\nstruct socket {\n\tconst struct proto_ops *ops;\n};\n"
        "struct proto_ops {\n\tint (*release)(struct socket *s);\n};\n"
        "void sock_release(struct socket *s);\n"
    )
    names = ("raw", "broadcast", "isotp")
    kernel = {"include/linux/net.h": header, "net/socket.c": SOCKET}
    kernel |= {where % name: FAMILY.replace("%s", name) for name in names}
    before, after = (
        {**kernel, "drivers/net/tunnel/tunnel.c": TUNNEL.replace("@@", body)}
        for body in ("\tmutex_lock(&t->lock);\n\tmutex_unlock(&t->lock);", "")
    )
    comparison = lab.review(before, after)
    assert [h.kind for h in comparison.hazards] == [HazardKind.LOCK_ORDER_INVERSION] * found


BUS = """
struct bus {
	spinlock_t lock;
	void *buffer;
};
void bus_free(struct bus *b)
{
	@@(&b->lock);
	kvfree(b->buffer);
	##(&b->lock);
}
"""


@pytest.mark.parametrize(("suffix", "found"), [("", True), ("_bh", False)])
@pytest.mark.parametrize("claim", [CLAIM, ""])
def test_what_may_be_large_is_not_freed_under_a_spinlock(
    lab: Lab, suffix: str, found: bool, claim: str
) -> None:
    """vfree() asks in_interrupt(), which is true with softirqs off."""
    pair = (f"spin_lock{suffix}", f"spin_unlock{suffix}")
    before, after = (
        {"drivers/bus.c": BUS.replace("@@", one).replace("##", other)}
        for one, other in (pair, ("use", "use"))
    )
    comparison = lab.review(before, after, claim=claim)
    assert [h.kind for h in comparison.hazards] == [HazardKind.SLEEP_IN_ATOMIC] * (
        found and bool(claim)
    )


@pytest.mark.parametrize(("suffix", "found"), [("", False), ("_bh", False), ("_irq", True)])
def test_coherent_memory_is_not_freed_with_interrupts_off(
    lab: Lab, suffix: str, found: bool
) -> None:
    free = "dma_free_coherent(b->dev, 64, b->buffer, b->address)"
    text = BUS.replace("@@", f"spin_lock{suffix}").replace("##", f"spin_unlock{suffix}")
    before, after = (
        {"drivers/bus.c": text.replace("kvfree(b->buffer)", body)} for body in (free, "use(b)")
    )
    kinds = [h.kind for h in lab.review(before, after).hazards]
    assert kinds == [HazardKind.SLEEP_IN_ATOMIC] * found
    removed(lab.review(before, after, claim=CLAIM), HazardKind.SLEEP_IN_ATOMIC)


@pytest.mark.parametrize(("handler", "found"), [(HARD, True), (TIMER, False)])
def test_nor_in_the_handler_of_an_interrupt(lab: Lab, handler: str, found: bool) -> None:
    text = handler.replace("spin_lock(&d->slock);", "@@").replace("spin_unlock(&d->slock);", "")
    free = "dma_free_coherent(d->dev, 64, d->buf, 0);"
    before, after = (one(text.replace("@@", line)) for line in (free, "use(d);"))
    kinds = [h.kind for h in lab.review(before, after).hazards]
    assert kinds == [HazardKind.SLEEP_IN_ATOMIC] * found


UEVENT = """
static DEFINE_MUTEX(devices);
static int box_uevent(const struct device *dev, struct kobj_uevent_env *env)
{
	mutex_lock(&devices);
	mutex_unlock(&devices);
	return 0;
}
static const struct class box_class = {
	.dev_uevent = box_uevent,
};
void box_unbind(struct box *b)
{
	mutex_lock(&devices);
%s	mutex_unlock(&devices);
%s}
"""


def test_telling_user_space_of_a_device_asks_its_class(lab: Lab) -> None:
    tell = "\tkobject_uevent(&b->dev.kobj, KOBJ_CHANGE);\n"
    before, after = ({"drivers/box.c": UEVENT % where} for where in ((tell, ""), ("", tell)))
    hazard = removed(lab.review(before, after), HazardKind.RECURSIVE_LOCK)
    assert hazard.classes == ("drivers/box.c:devices",)


PORT = """
struct port {
	spinlock_t lock;
	struct tty_port tty;
};
static int port_write(struct tty_struct *tty, struct usb_serial_port *u, const u8 *b, int count)
{
	struct port *p = tty->driver_data;
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	spin_unlock_irqrestore(&p->lock, flags);
	return count;
}
static struct usb_serial_driver port_driver = {
	.write = port_write,
};
static void port_sent(struct urb *urb)
{
	struct port *p = urb->context;
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
%s	spin_unlock_irqrestore(&p->lock, flags);
%s}
"""


def test_a_line_discipline_writes_when_it_is_woken(lab: Lab) -> None:
    wake = "\ttty_port_tty_wakeup(&p->tty);\n"
    before, after = ({"drivers/port.c": PORT % where} for where in ((wake, ""), ("", wake)))
    hazard = removed(lab.review(before, after, claim=CLAIM), HazardKind.RECURSIVE_LOCK)
    assert hazard.classes == ("struct port.lock",)
    assert hazard.grade is Grade.CONDITIONAL


@pytest.mark.parametrize(("flag", "found"), [("GFP_KERNEL", True), ("GFP_ATOMIC", False)])
@pytest.mark.parametrize(
    ("file", "claim", "counts"),
    [
        ("drivers/box/tell.c", "", True),
        ("drivers/base/tell.c", "", False),
        ("drivers/base/tell.c", CLAIM, True),
        ("mm/tell.c", CLAIM, False),
    ],
)
def test_what_a_timer_calls_allocates(
    lab: Lab, flag: str, found: bool, file: str, claim: str, counts: bool
) -> None:
    """The flag is seen where no lock is held; below mm it is the sanitizers' business."""
    timer = """
struct box {
	struct timer_list timer;
};
static void expired(struct timer_list *t)
{
	box_tell(t);
}
void box_init(struct box *b)
{
	timer_setup(&b->timer, expired, 0);
}
"""
    tell = "void box_tell(void *b)\n{\n\tvoid *m = new_message(b, 12,\n\t\t%s);\n\tsend(m);\n}\n"
    quiet, loud = ({"drivers/box/box.c": timer, file: tell % one} for one in ("GFP_NOWAIT", flag))
    kinds = [h.kind for h in lab.review(loud, quiet, claim=claim).hazards]
    assert kinds == [HazardKind.SLEEP_IN_ATOMIC] * (found and counts)


RATE = """
struct card;
struct card_ops {
	void (*set_rate)(struct card *c);
};
struct card {
	spinlock_t reg_lock;
	struct mutex gpio_mutex;
	const struct card_ops *ops;
};
"""
RATES = """
void set_rate(struct card *c)
{
	spin_lock_irq(&c->reg_lock);
%s	spin_unlock_irq(&c->reg_lock);
%s}
"""
QUARTET = """
static void quartet_set_rate(struct card *c)
{
	mutex_lock(&c->gpio_mutex);
	mutex_unlock(&c->gpio_mutex);
}
const struct card_ops quartet = {
	.set_rate = quartet_set_rate,
};
"""


@pytest.mark.parametrize(
    ("directory", "claim", "found"),
    [("sound/card", CLAIM, True), ("sound/card", "", False), ("sound/quartet", CLAIM, False)],
)
def test_a_callback_of_the_same_driver_sleeps(
    lab: Lab, directory: str, claim: str, found: bool
) -> None:
    call = "\tc->ops->set_rate(c);\n"
    before, after = (
        {
            "sound/card/card.h": RATE,
            "sound/card/rate.c": RATES % where,
            f"{directory}/quartet.c": QUARTET,
        }
        for where in ((call, ""), ("", call))
    )
    comparison = lab.review(before, after, claim=claim)
    assert comparison.verdict is (Verdict.REMOVED if found else Verdict.CLEAN)


CLOCKS = """
static DEFINE_MUTEX(prepare_lock);
int clk_prepare(struct clk *clk)
{
	mutex_lock(&prepare_lock);
	prepare_parents(clk);
	mutex_unlock(&prepare_lock);
	return 0;
}
"""
CLOCK = """
static int chip_prepare(struct clk_hw *hw)
{
	return i2c_transfer(hw->adapter, 0, 1);
}
static const struct clk_ops chip_%s = {
	.prepare = chip_prepare,
};
"""
ADAPTER = """
static int bus_xfer(struct i2c_adapter *adap, struct i2c_msg *msgs, int num)
{
	@@(adap->clk);
	return num;
}
static const struct i2c_algorithm bus_algorithm = {
	.xfer = bus_xfer,
};
"""


def test_a_clock_on_a_bus_is_prepared_for_the_bus(lab: Lab) -> None:
    """Any clock: there is but one lock for all of them."""
    header = "struct clk {\n\tconst struct clk_ops *ops;\n\tstruct clk_hw *hw;\n};\n"
    clocks = {f"drivers/clk/clk-{n}.c": CLOCK % n for n in ("one", "two", "three", "four")}
    before, after = (
        {
            "include/linux/clk.h": header,
            "drivers/clk/clk.c": CLOCKS,
            "drivers/i2c/busses/bus.c": ADAPTER.replace("@@", call),
            **clocks,
        }
        for call in ("clk_prepare", "clk_enable")
    )
    hazard = removed(lab.review(before, after, claim=CLAIM), HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"drivers/clk/clk.c:prepare_lock", "struct i2c_adapter.bus_lock"}
    assert lab.review(before, after).verdict is Verdict.CLEAN


CHAIN = """
static RAW_NOTIFIER_HEAD(chain);
void restart(void)
{
	raw_notifier_call_chain(&chain, 0, NULL);
}
int raw_notifier_call_chain(struct raw_notifier_head *nh, unsigned long val, void *v)
{
	struct notifier_block *nb = nh->head;

	return nb->notifier_call(nb, val, v);
}
"""
NOTIFIED = """
static DEFINE_MUTEX(%s_state);
static int %s_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	mutex_lock(&%s_state);
	mutex_unlock(&%s_state);
	return 0;
}
static struct notifier_block %s_nb = {
	.notifier_call = %s_notify,
};
"""
RESTARTS = """
void power_off(void)
{
	mutex_lock(&%s_state);
@@
	mutex_unlock(&%s_state);
}
"""


@pytest.mark.parametrize(
    ("place", "found"), [("drivers/power/off.c", True), ("drivers/power/other/off.c", False)]
)
def test_a_notifier_is_on_the_chain_that_its_own_file_calls(
    lab: Lab, place: str, found: bool
) -> None:
    """Of many notifiers only that of the file itself is known to be called there."""
    header = (
        "struct notifier_block {\n\tint (*notifier_call)(struct notifier_block *nb,"
        " unsigned long event, void *data);\n};\n"
        "struct raw_notifier_head {\n\tstruct notifier_block *head;\n};\n"
        "extern struct mutex off_state;\n"
    )
    kernel = {"include/linux/notifier.h": header, "kernel/notifier.c": CHAIN}
    for name in ("one", "two", "three"):
        kernel[f"drivers/{name}/{name}.c"] = NOTIFIED.replace("%s", name)
    handler = NOTIFIED.replace("static DEFINE", "DEFINE").replace("%s", "off")
    caller = RESTARTS.replace("%s", "off")
    kernel[place] = handler
    before, after = (
        {
            **kernel,
            "drivers/power/off.c": kernel.get("drivers/power/off.c", "")
            + caller.replace("@@", body),
        }
        for body in ("\trestart();", ";")
    )
    comparison = lab.review(before, after, claim=CLAIM)
    assert (comparison.verdict is Verdict.REMOVED) == found


BOX = (
    DRIVER_CORE
    + """
struct box {
	struct dev base;
};
static DEFINE_MUTEX(switches);
void box_block(struct box *b)
{
	mutex_lock(&switches);
	device_lock(&b->base);
	device_unlock(&b->base);
	mutex_unlock(&switches);
}
void box_remove(struct box *b)
{
@@
}
"""
)


@pytest.mark.parametrize(("whose", "found"), [("&b->base", True), ("b->base.parent", False)])
def test_a_class_without_order_may_have_one_in_its_own_file(
    lab: Lab, whose: str, found: bool
) -> None:
    """The devices of one driver, where both ways say which member of it the device is."""
    take = "\tmutex_lock(&switches);\n\tmutex_unlock(&switches);\n"
    hold, release = f"\tdevice_lock({whose});\n", f"\tdevice_unlock({whose});\n"
    before, after = (
        one(BOX.replace("@@\n", body)) for body in (hold + take + release, hold + release + take)
    )
    assert lab.review(before, after).verdict is Verdict.CLEAN
    kinds = [hazard.kind for hazard in lab.review(before, after, claim=CLAIM).hazards]
    assert kinds == [HazardKind.LOCK_ORDER_INVERSION] * found


AWARE = """
static void unpin(struct dev *d)
{
	@@msleep(1);
}
static void dev_timer(struct timer_list *t)
{
	struct dev *d = from_timer(d, t, timer);

	unpin(d);
}
void dev_start(struct dev *d)
{
	timer_setup(&d->timer, dev_timer, 0);
}
"""


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("", True),
        ("if (d->dead)\n\t\t", True),
        ("if (in_task() || d->dead)\n\t\t", False),
        ("if (in_interrupt())\n\t\treturn;\n\t", False),
        ("WARN_ON(in_interrupt());\n\t", True),
        ("BUG_ON(!in_task());\n\t", True),
    ],
)
def test_who_asks_where_it_runs_does_not_sleep_there(lab: Lab, condition: str, found: bool) -> None:
    text = AWARE.replace("@@", condition)
    before, after = one(text), one(text.replace("msleep(1)", "udelay(1)"))
    kinds = [hazard.kind for hazard in lab.review(before, after).hazards]
    assert kinds == [HazardKind.SLEEP_IN_ATOMIC] * found


CONFIG = """
struct inode { struct rw_semaphore i_rwsem; };
static inline void inode_lock(struct inode *inode)
{
	down_write(&inode->i_rwsem);
}
struct configfs_group_operations { void (*drop_item)(struct inode *root); };
static DEFINE_MUTEX(users);
static void region_drop(struct inode *root)
{
@@}
void region_pin(struct inode *root)
{
	mutex_lock(&users);
	inode_lock(root);
	up_write(&root->i_rwsem);
	mutex_unlock(&users);
}
static const struct configfs_group_operations region_ops = {
	.drop_item = region_drop,
};
"""


def test_the_directory_of_a_callback_is_one_of_many(lab: Lab) -> None:
    take = "\tmutex_lock(&users);\n\tmutex_unlock(&users);\n"
    before, after = (one(CONFIG.replace("@@", body)) for body in (take, ""))
    hazard = removed_if_asked(lab, before, after, HazardKind.LOCK_ORDER_INVERSION)
    assert "struct inode.i_rwsem" in hazard.classes


STOPS_ITSELF = """
static void dev_stop(struct dev *d)
{
@@
}
static void dev_work(struct work_struct *work)
{
	dev_stop(container_of(work, struct dev, work));
}
void dev_start(struct dev *d)
{
	INIT_WORK(&d->work, dev_work);
}
"""


@pytest.mark.parametrize(
    ("stop", "found"),
    [
        ("\tcancel_work_sync(&d->work);", True),
        ("\tif (current_work() != &d->work)\n\t\tcancel_work_sync(&d->work);", False),
        ("\tif (&d->work == current_work())\n\t\treturn;\n\tcancel_work_sync(&d->work);", False),
        ("\tif (current->pid == 1)\n\t\treturn;\n\tcancel_work_sync(&d->work);", True),
    ],
)
def test_a_handler_does_not_wait_for_itself_if_it_asks(lab: Lab, stop: str, found: bool) -> None:
    text = STOPS_ITSELF
    comparison = lab.review(one(text.replace("@@", "\twork();")), one(text.replace("@@", stop)))
    assert (HazardKind.FLUSH_CYCLE.value in kinds(comparison)) == found
