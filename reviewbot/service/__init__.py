# SPDX-License-Identifier: GPL-2.0-or-later
"""Unattended work: new mail, what of it is ours, durable reviews, the outbox."""
