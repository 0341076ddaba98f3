# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that people give in their replies: heard, checked, obeyed; never answered."""
