# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks behind the rules of :mod:`reviewbot.report.etiquette`.

Each takes a letter and what is known beside it, and yields a phrase for
everything that breaks its norm.
"""
