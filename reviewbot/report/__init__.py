# SPDX-License-Identifier: GPL-2.0-or-later
"""One review, many faces: the reply mail, JSON."""
