# SPDX-License-Identifier: GPL-2.0-or-later
"""Macros that say more than a function could: their user's names, pasted ones."""

from __future__ import annotations

import pytest

from reviewbot.locking.model import HazardKind
from tests.locking.support import Lab, removed

PORT = """\
struct port {
	spinlock_t queue;
	spinlock_t state;
	struct mutex big;
	int id;
};
#define port_note_func(how, fmt, ...) \\
do { \\
	spin_lock(&port->state); \\
	pr_err_ ## how("%s %d " fmt, #how, port->id, ##__VA_ARGS__); \\
	spin_unlock(&port->state); \\
} while (0)
#define port_note(fmt, ...) port_note_func(ratelimited, fmt, ##__VA_ARGS__)
#define port_hold() mutex_lock(&port->big)
#define port_drop() mutex_unlock(&port->big)
#define port_do(op) do { mutex_##op(&port->big); } while (0)
"""
RESET = """\
#include "port.h"
void port_reset(struct port *port)
{
	spin_lock(&port->state);
	spin_lock(&port->queue);
	spin_unlock(&port->queue);
	spin_unlock(&port->state);
}
void port_end(struct port *port, int err)
{
	spin_lock(&port->queue);
@@
}
"""
SET = """\
#include "port.h"
int port_set(struct port *port, int value)
{
	port_hold();
	if (value > 3) {
@@		return -EINVAL;
	}
	port_drop();
	return 0;
}
"""


def files(text: str, body: str) -> dict[str, str]:
    return {"drivers/port.h": PORT, "drivers/port.c": text.replace("@@", body)}


@pytest.mark.parametrize("call", ['port_note("%d", err);', 'port_note_func(once, "%d", err);'])
def test_a_macro_takes_a_lock_of_its_users(lab: Lab, call: str) -> None:
    note, drop = f"\t{call}\n", "\tspin_unlock(&port->queue);\n"
    comparison = lab.review(files(RESET, note + drop), files(RESET, drop + note))
    hazard = removed(comparison, HazardKind.LOCK_ORDER_INVERSION)
    assert set(hazard.classes) == {"struct port.queue", "struct port.state"}


def test_what_a_macro_took_of_its_users_is_given_back(lab: Lab) -> None:
    comparison = lab.review(files(SET, ""), files(SET, "\t\tport_drop();\n"))
    hazard = removed(comparison, HazardKind.LOCK_IMBALANCE)
    assert hazard.classes == ("struct port.big",)


def test_a_pasted_lock_call_is_not_guessed(lab: Lab) -> None:
    """Both ends may be one macro; nothing is told of either."""
    text = SET.replace("port_hold()", "port_do(lock)").replace("port_drop()", "port_do(unlock)")
    comparison = lab.review(files(text, ""), files(text, "\t\tport_do(unlock);\n"))
    assert not comparison.hazards
