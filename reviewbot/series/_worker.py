# SPDX-License-Identifier: GPL-2.0-or-later
"""The child process that parses mail: limits on itself first, then b4.

Run as ``python -I -m reviewbot.series._worker REQUEST`` with the mailbox on
standard input; answers in JSON on standard output.  b4 keeps global state,
calls sys.exit and allocates what a subject line tells it to, so it never runs
in the program's own process.
"""

from __future__ import annotations

import math
import sys
from email.errors import MessageError

import b4
import msgspec

from reviewbot.confine import bound, cut_off
from reviewbot.errors import ReviewbotError
from reviewbot.series import _extract, _select
from reviewbot.series._protocol import AssembleLimits, Failure, Reply, Request
from reviewbot.series.errors import TooBig, Unreadable
from reviewbot.series.model import Series

_PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MessageError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What malformed mail raises out of ``email`` and b4: about one mutated thread in seventy."""


def confine(limits: AssembleLimits) -> None:
    """Give up memory, time, disk, network and programs, for good."""
    bound(
        memory=limits.memory,
        cpu=math.ceil(limits.seconds),
        file_size=limits.max_reply,
        files=64,
    )
    cut_off()


def answer(request: Request, raw: bytes) -> bytes:
    """Assemble the series asked for, or say why there is none: a Reply in JSON."""
    try:
        return msgspec.json.encode(Reply(series=_assemble(request, raw)))
    except ReviewbotError as error:
        return _failed(error)
    except MemoryError:
        return _failed(TooBig(f"The mail from {request.source} needs more memory than its limit."))
    except _PARSER_ERRORS as trouble:
        return _failed(
            Unreadable(
                f"The mail from {request.source} is malformed and breaks the mail parser "
                f"({type(trouble).__name__}): ask for it to be posted again."
            )
        )


def _failed(error: ReviewbotError) -> bytes:
    message = str(error).encode("utf-8", "replace").decode()
    return msgspec.json.encode(Reply(failure=Failure(type(error).__name__, message)))


def _assemble(request: Request, raw: bytes) -> Series:
    # Without these b4 looks for trailers on lore when only some patches were posted again.
    b4.can_network = False
    b4.MAIN_CONFIG = {**b4.DEFAULT_CONFIG, "attestation-policy": "off"}
    messages = _select.messages(raw, request)
    return _extract.series(_select.choose(messages, request), request)


def main() -> None:
    """Entry point of the child process."""
    request = msgspec.json.decode(sys.argv[1], type=Request)
    confine(request.limits)
    raw = sys.stdin.buffer.read(request.limits.max_bytes + 1)
    sys.stdout.buffer.write(answer(request, raw))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
