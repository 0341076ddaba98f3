# SPDX-License-Identifier: GPL-2.0-or-later
"""The process of one task: limits on itself first, then the work.

It is forked from :mod:`._nursery`.  Its directory holds the request and takes the
answer; its session ends when the service does, however that dies, and with it go
the directory and all that runs in the session.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path

import msgspec

from reviewbot.confine import bound, cut_off, environment
from reviewbot.errors import ReviewbotError
from reviewbot.kernel.base import tip_of
from reviewbot.kernel.model import ApplyState, Base
from reviewbot.kernel.repository import Repository, Scratch
from reviewbot.locking.index import quiet
from reviewbot.locking.trees import Prepared, consult, prepare
from reviewbot.report.check import checks
from reviewbot.report.envelope import Dispatch, Ruling, answers, rule
from reviewbot.report.jsonout import dump
from reviewbot.report.model import Review
from reviewbot.report.page import render_page
from reviewbot.report.reply import Reply as Mail
from reviewbot.report.reply import checked, render_replies
from reviewbot.report.suppress import suppress
from reviewbot.review import applied, changed_trees, review_on, settle_base
from reviewbot.service._protocol import Answer, Fetched, Request, Task, Tried, decode, encode
from reviewbot.service.failures import failure_of, is_full
from reviewbot.service.memory import Memory, recall, since, tells_nothing_new
from reviewbot.service.model import FailureKind, Reason, Step
from reviewbot.service.prefilter import touches_locks
from reviewbot.service.state.model import HazardRecord, Outcome, Reply

_OPEN_FILES = 512
_MAX_PAGE = 2 << 20
"""Bytes of a page that is kept; it packs to a tenth of that."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")


def index(request: Request) -> Prepared:
    """Read what the cache lacks of the tree at the list's branch, else at HEAD."""
    options = request.setup.options()
    with Repository.open(options.tree, options.mirror) as repository:
        tree = repository.tree_of(tip_of(repository, options.branch)[0])
        return prepare(repository, options.settings, tree)


def base(request: Request) -> Base:
    """What the series is to be applied to."""
    fetched = decode(request.made[Step.FETCH], Fetched)
    return settle_base(fetched.series, request.setup.options(fetched.prerequisites))


def apply(request: Request) -> Tried:
    """Whether it goes on, and touches what a check is for."""
    fetched = decode(request.made[Step.FETCH], Fetched)
    settled = decode(request.made[Step.BASE], Base)
    options = request.setup.options(fetched.prerequisites)
    with (
        Repository.open(options.tree, options.mirror) as repository,
        Scratch(repository) as scratch,
    ):
        application = applied(repository, scratch, fetched.series, settled, options)
        if application.state is not ApplyState.APPLIED:
            return Tried(application)
        trees, files = changed_trees(scratch, settled, application)
        locks = consult(
            scratch, options.settings, quiet, trees, lambda views: touches_locks(views, files)
        )
        return Tried(application, "" if locks else Reason.NO_LOCKS.value)


def check(request: Request) -> Review:
    """What becomes of the locking."""
    fetched = decode(request.made[Step.FETCH], Fetched)
    tried = decode(request.made[Step.APPLY], Tried)
    settled = decode(request.made[Step.BASE], Base)
    options = request.setup.options(fetched.prerequisites)
    return review_on(fetched.series, settled, options, tried.application)


def render(request: Request) -> Outcome:
    """The reply, and all else that is kept; no reply that would repeat an older one."""
    review = suppress(decode(request.made[Step.CHECK], Review), request.suppressed)
    memory = _memory(request.before, request.suppressed)
    if memory is None:
        return _outcome(review, review.reason, _replies(review, request), request)
    if tells_nothing_new(memory, review):
        reason = f"{review.reason}; no reply, as that to v{memory.series.version} says the same"
        return _outcome(review, reason, (), request)
    review = replace(review, since=since(memory, review))
    return _outcome(review, review.reason, _replies(review, request), request)


def _memory(result: bytes, suppressed: Collection[str]) -> Memory | None:
    try:
        return recall(msgspec.json.decode(result), suppressed) if result else None
    except msgspec.ValidationError:
        return None  # of a program that kept less


def _outcome(review: Review, reason: str, replies: tuple[Reply, ...], request: Request) -> Outcome:
    told = {
        hazard.id: reply.message_id
        for said, reply in zip(answers(review), replies, strict=False)
        for hazard in said.hazards
    }
    return Outcome(
        verdict=review.verdict,
        reason=reason,
        replies=replies,
        base=review.base.commit if review.base is not None else "",
        result=dump(review.to_dict()).encode(),
        page=_page(review),
        checks=checks(review) if request.setup.checked else (),
        hazards=tuple(
            HazardRecord(
                hazard.id,
                hazard.kind,
                hazard.classes,
                hazard.state,
                hazard.patch,
                told.get(hazard.id, ""),
            )
            for hazard in review.hazards
        ),
    )


def _page(review: Review) -> bytes:
    page = render_page(review).encode("utf-8", "replace")
    return page if len(page) <= _MAX_PAGE else b""


def _replies(review: Review, request: Request) -> tuple[Reply, ...]:
    """The mails, one for each patch that is answered, as the list's policy has them."""
    sender, date = request.setup.sender, request.date
    policy = replace(request.setup.policy, silent=frozenset(request.silent))
    ruling = rule(review, policy)
    to_all = render_replies(review, sender, date=date)
    mails = to_all
    if ruling.dispatch is not Dispatch.KEEP:
        mails = render_replies(review, sender, policy, date=date)
    return tuple(starmap(partial(_reply, ruling), zip(mails, to_all, strict=True)))


def _reply(ruling: Ruling, mail: Mail, to_all: Mail) -> Reply:
    """The mail; one that goes to nobody is as if it went to all, for the operator to read."""
    dispatch, why = ruling.dispatch, ruling.why
    if not mail.distribution.recipients:
        mail, dispatch, why = to_all, Dispatch.KEEP, "nobody is left to write to"
    return Reply(
        message_id=mail.message_id,
        subject=mail.subject,
        recipients=tuple(person.address for person in (*mail.to, *mail.cc)),
        mail=checked(mail),
        dispatch=dispatch,
        why=why,
    )


_WORK: Mapping[Task, Callable[[Request], object]] = {
    Task.INDEX: index,
    Task.BASE: base,
    Task.APPLY: apply,
    Task.CHECK: check,
    Task.RENDER: render,
}


_CACHE_GONE = "the cache was removed while it was in use: it is made anew"


def _is_below(error: OSError, directory: str) -> bool:
    """Whether an error is about a file in a directory."""
    return Path(os.fsdecode(error.filename or "")).is_relative_to(directory)


def answer(request: Request) -> Answer:
    """Take the step, or say why that failed."""
    try:
        return Answer(encode(_WORK[request.task](request)))
    except ReviewbotError as error:
        failure = failure_of(error)
        return Answer(failure=failure.kind, reason=failure.reason)
    except MemoryError:
        return Answer(failure=FailureKind.OUT_OF_MEMORY, reason="it ran out of memory")
    except OSError as error:
        if is_full(error):
            return Answer(failure=FailureKind.DISK_FULL, reason=f"no room on a disk ({error})")
        if isinstance(error, FileNotFoundError) and _is_below(error, request.setup.cache):
            return Answer(failure=FailureKind.TREE, reason=_CACHE_GONE)
        raise


def run(home: Path, lifeline: int) -> None:
    """Do the task whose request lies in ``home``, and leave the answer there.

    ``lifeline`` is a pipe that nobody writes to: it ends when the service does.
    """
    threading.Thread(target=_hang_on, args=(home, lifeline), daemon=True).start()
    request = msgspec.msgpack.decode((home / "request").read_bytes(), type=Request)
    _move_in(home, request.network)
    limits = request.limits
    bound(
        memory=limits.memory,
        cpu=math.ceil(limits.seconds),
        file_size=limits.file_size,
        files=_OPEN_FILES,
    )
    cut_off(network=request.network)
    (home / "answer").write_bytes(msgspec.msgpack.encode(answer(request)))


def _hang_on(home: Path, lifeline: int) -> None:
    """Go when the service has gone, and leave nothing behind."""
    os.read(lifeline, 1)
    shutil.rmtree(home, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _move_in(home: Path, network: bool) -> None:
    """Have nothing of the service's: neither its directory nor its environment."""
    kept = [*_PROXIES, *map(str.upper, _PROXIES)] if network else []
    variables = environment(home) | {name: os.environ[name] for name in kept if name in os.environ}
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = None
    os.chdir(home / "empty")
