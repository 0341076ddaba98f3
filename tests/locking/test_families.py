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
