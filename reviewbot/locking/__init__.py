# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock checker: facts per blob, lock graph, hazards, comparison of two trees."""
