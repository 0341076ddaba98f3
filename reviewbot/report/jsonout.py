# SPDX-License-Identifier: GPL-2.0-or-later
"""A review as JSON, ``reviewbot.review/1`` (docs/review.schema.json)."""

from __future__ import annotations

import json
import re

from reviewbot.report.model import Review

_SURROGATE = re.compile("[\ud800-\udfff]")


def dump(review: Review) -> str:
    """The whole review as readable JSON, ended by a line end.

    Text stays as it is, but for lone surrogates (a mail that was no UTF-8):
    UTF-8 cannot hold them, JSON's escapes can.
    """
    text = json.dumps(review.to_dict(), indent=2, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"
