# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel tree: choose a base, read objects, apply a series beside the user's checkout."""
