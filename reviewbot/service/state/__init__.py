# SPDX-License-Identifier: GPL-2.0-or-later
"""What the service remembers, in SQLite or PostgreSQL; all of its SQL is in here."""
