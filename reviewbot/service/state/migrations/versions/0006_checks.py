# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks on a patchwork server: what is to be shown there, and whether it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(32)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "checks",
        sa.Column("review", sa.Integer, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("patch", sa.Integer, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("fate", WORD, nullable=False),
        sa.Column("reason", sa.Text, server_default="", nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("next_try", MOMENT),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("review", "message_id"),
    )
    op.create_index("ix_checks_fate", "checks", ["fate"])
