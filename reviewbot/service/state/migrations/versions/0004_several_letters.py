# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of a review's replies tells of a hazard, and which one a command answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; until now a review had one reply, which told of all."""
    for table in ("hazards", "commands"):
        op.add_column(table, sa.Column("letter", sa.Text, nullable=False, server_default=""))
