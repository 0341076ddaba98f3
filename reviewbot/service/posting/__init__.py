# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies on their way out: each once, to those who may get it, and nobody else."""
