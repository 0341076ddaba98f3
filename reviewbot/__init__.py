# SPDX-License-Identifier: GPL-2.0-or-later
"""reviewbot: says whether a kernel patch series removes a deadlock pattern, with the proof."""

__version__ = "0.1.0"
