# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as JSON; docs/review.schema.json and docs/audit.schema.json describe it."""

from __future__ import annotations

import json
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def dump(values: dict[str, Any]) -> str:
    """What a report's ``to_dict`` gives as readable JSON, ended by a line end.

    Text stays as it is, but for lone surrogates (a mail that was no UTF-8):
    UTF-8 cannot hold them, JSON's escapes can.
    """
    text = json.dumps(values, indent=2, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"
