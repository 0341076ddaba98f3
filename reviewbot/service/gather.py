# SPDX-License-Identifier: GPL-2.0-or-later
"""The first step of a review: its mails from the state become a Series.

What did not arrive is asked from the archive, if one is configured; so is what
the series is built on.  An archive that fails costs no review: what is there is
reviewed, and the reply says what was missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from reviewbot.errors import ReviewbotError
from reviewbot.series.assemble import assemble
from reviewbot.series.mailbox import mbox_entry
from reviewbot.series.model import Series
from reviewbot.series.prerequisites import PrerequisiteLimits, find_prerequisites
from reviewbot.service._protocol import Fetched
from reviewbot.service.archive import Archive


def gather(mails: Sequence[bytes], head: str, archive: Archive | None) -> Fetched:
    """The series of these mails, of which ``head`` is the cover letter or a patch.

    Raises what :func:`~reviewbot.series.assemble.assemble` raises.
    """
    mbox = b"".join(map(mbox_entry, mails))
    series = assemble(mbox, wanted=head, source=head, together=True)
    if archive is None:
        return Fetched(series)
    if series.missing:
        series = _filled(series, mbox, head, archive)
    limits = PrerequisiteLimits(fetch=archive.limits)
    found = find_prerequisites(series, server=archive.url, limits=limits, contact=archive.contact)
    return Fetched(series, found)


def _filled(series: Series, mbox: bytes, head: str, archive: Archive) -> Series:
    """The same with the patches that the archive has; as it is if that makes it no better.

    The thread is anybody's: it may be too big, malformed, or make another series of the mails.
    """
    try:
        found = assemble(mbox + archive.thread(head), wanted=head, source=head)
    except ReviewbotError:
        return series
    lacks = {patch.index for patch in series.patches} - {patch.index for patch in found.patches}
    return series if lacks or len(found.missing) >= len(series.missing) else found
