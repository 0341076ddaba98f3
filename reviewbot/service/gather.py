# SPDX-License-Identifier: GPL-2.0-or-later
"""The first step of a review: its mails from the state become a Series.

What did not arrive is asked from the archive, if one is configured; so is what
the series is built on.  An archive that fails costs no review: what is there is
reviewed, and the reply says what was missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from reviewbot.errors import ServiceError
from reviewbot.series.assemble import assemble
from reviewbot.series.errors import NotFound
from reviewbot.series.fetch import fetch_thread
from reviewbot.series.mailbox import mbox_entry
from reviewbot.series.model import Series
from reviewbot.series.prerequisites import find_prerequisites
from reviewbot.service._protocol import Fetched


def gather(mails: Sequence[bytes], head: str, archive: str, contact: str) -> Fetched:
    """The series of these mails, of which ``head`` is the cover letter or a patch.

    ``archive`` is a public-inbox server, or empty.  Raises what
    :func:`~reviewbot.series.assemble.assemble` raises.
    """
    mbox = b"".join(map(mbox_entry, mails))
    series = assemble(mbox, wanted=head, source=head, together=True)
    if series.missing and archive:
        series = _filled(series, mbox, head, archive, contact)
    if not archive:
        return Fetched(series)
    return Fetched(series, find_prerequisites(series, server=archive, contact=contact))


def _filled(series: Series, mbox: bytes, head: str, archive: str, contact: str) -> Series:
    """The same with the patches that the archive has."""
    try:
        thread = fetch_thread(head, server=archive, contact=contact)
        return assemble(mbox + thread, wanted=head, source=head)
    except (NotFound, ServiceError):
        return series
