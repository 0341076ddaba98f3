# SPDX-License-Identifier: GPL-2.0-or-later
"""From a series on a list to the reply that goes out, unattended."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from reviewbot.locking.model import Verdict
from reviewbot.service.model import AddressState, OutboxState
from reviewbot.service.state import addresses
from tests.service.world import World

_SECONDS = 120.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World.make(tmp_path)


def configure(world: World, mode: str) -> Path:
    """What becomes of the replies to the list's series."""
    out = world.root / "posted"
    text = world.config_file.read_text()  # the last table is the list's
    world.config_file.write_text(f'{text}post = "{mode}"\n[post]\ndirectory = "{out}"\n')
    return out


def serve_until(world: World, state: OutboxState) -> None:
    """A service at work until there is a letter in this state."""
    service = world.start("serve")
    try:
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end and service.poll() is None:
            if any(letter.state is state for letter in world.letters()):
                return
            time.sleep(0.2)
        raise AssertionError(f"{world.letters()}: {world.log()}")
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(timeout=60)


def test_a_reply_goes_out_by_itself(world: World) -> None:
    out = configure(world, "list")
    with world.state() as state:
        addresses.silence(state, "taro@example.org", AddressState.OPTED_OUT, "asked for it")
    (patch,) = world.series(1)
    world.post([patch.replace(b"\nSubject:", b"\nCc: taro@example.org, kim@example.org\nSubject:")])
    serve_until(world, OutboxState.SENT)
    (file,) = out.iterdir()
    (review,) = world.reviews()
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert review.verdict is Verdict.INTRODUCED
    assert mail["To"] == "Author 1 <author1@example.org>"
    assert mail["Cc"] == "kvm@example.org, kim@example.org"
    assert mail["In-Reply-To"] == f"<{review.head}>"


def test_a_moderated_reply_waits(world: World) -> None:
    out = configure(world, "moderate")
    world.post(world.series(1))
    serve_until(world, OutboxState.WAITING)
    assert not out.exists()


def test_a_list_that_is_off_keeps_its_replies(world: World) -> None:
    world.post(world.series(1))
    serve_until(world, OutboxState.KEPT)
    (letter,) = world.letters()
    assert letter.reason.endswith("post = off")
