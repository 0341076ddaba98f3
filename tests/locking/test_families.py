# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets of different protocols have different locks."""

from __future__ import annotations

import pytest

from tests.locking.support import Files, Lab, kinds

HEADERS: Files = {
    "include/net/sock.h": "struct sock {\n\tsocket_lock_t sk_lock;\n};\n",
    "include/linux/net.h": "struct proto_ops {\n\tint (*release)(struct socket *sock);\n};\n",
    "include/net/radio.h": "struct radio {\n\tstruct mutex lock;\n};\n",
}
SOCKET = """\
static int NAME_release(struct socket *sock)
{
	return 0;
}
static const struct proto_ops NAME_ops = {
	.release = NAME_release,
};
"""
INSIDE = """\
void NAME_bind(struct sock *sk, struct radio *r)
{
	lock_sock(sk);
	mutex_lock(&r->lock);
	mutex_unlock(&r->lock);
	release_sock(sk);
}
"""
OUTSIDE = """\
void NAME_lost(struct sock *sk, struct radio *r)
{
	mutex_lock(&r->lock);
	lock_sock(sk);
	release_sock(sk);
	mutex_unlock(&r->lock);
}
"""


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (SOCKET + INSIDE, SOCKET + OUTSIDE, False),
        (SOCKET + INSIDE, OUTSIDE, True),
        (SOCKET + INSIDE + OUTSIDE, "", True),
    ],
)
def test_two_protocols_are_in_no_order(lab: Lab, first: str, second: str, found: bool) -> None:
    files = {
        "net/radio/voice.c": first.replace("NAME", "voice"),
        "net/radio/data.c": second.replace("NAME", "data"),
    }
    comparison = lab.review(HEADERS, HEADERS | files)
    assert kinds(comparison) == (["lock-order-inversion"] if found else [])


def test_what_stands_beside_protocols_is_what_they_have_in_common(lab: Lab) -> None:
    """A socket of what the radio's protocols share is none of another network's."""
    files = {
        "net/radio/voice.c": SOCKET.replace("NAME", "voice"),
        "net/radio/common.c": INSIDE.replace("NAME", "common"),
        "net/wire/wire.c": (SOCKET + OUTSIDE).replace("NAME", "wire"),
    }
    assert kinds(lab.review(HEADERS, HEADERS | files)) == []
    beside = files | {"net/radio/data.c": (SOCKET + OUTSIDE).replace("NAME", "data")}
    assert kinds(lab.review(HEADERS, HEADERS | beside)) == ["lock-order-inversion"]


QUEUES: Files = HEADERS | {
    "include/net/sock.h": "struct sk_buff_head {\n\tspinlock_t lock;\n};\n"
    "struct sock {\n\tstruct sk_buff_head sk_receive_queue;\n};\n",
}
RECEIVED = """\
static int wire_rcv(struct sk_buff *skb, struct net_device *dev, struct packet_type *pt)
{
	struct sock *sk = skb->sk;

	spin_lock(&sk->sk_receive_queue.lock);
	spin_unlock(&sk->sk_receive_queue.lock);
	return 0;
}
static struct packet_type wire_type = {
	.func = wire_rcv,
};
"""
COUNTED = """\
static int NAME_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	struct sock *sk = sock->sk;

	spin_lock(&sk->sk_receive_queue.lock);
	spin_unlock(&sk->sk_receive_queue.lock);
	return put_user(arg, sk);
}
static const struct file_operations NAME_fops = {
	.unlocked_ioctl = NAME_ioctl,
};
"""


@pytest.mark.parametrize(
    ("where", "found"), [("net/wire/count.c", True), ("net/radio/count.c", False)]
)
def test_an_interrupt_of_one_network_does_not_meet_anothers_queue(
    lab: Lab, where: str, found: bool
) -> None:
    files = {
        "net/wire/wire.c": SOCKET.replace("NAME", "wire") + RECEIVED,
        "net/radio/voice.c": SOCKET.replace("NAME", "voice"),
        where: COUNTED.replace("NAME", "count"),
    }
    comparison = lab.review(QUEUES, QUEUES | files)
    assert kinds(comparison) == (["lock-order-inversion"] if found else [])
