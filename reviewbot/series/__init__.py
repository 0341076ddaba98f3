# SPDX-License-Identifier: GPL-2.0-or-later
"""What was posted: fetch it, assemble it, hand on a typed Series."""
