# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands by reply, and what follows from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Written out, not taken from tables.py: that page changes, and what this made does not.
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(32)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "commands",
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("review", sa.Integer, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("commands", sa.JSON, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", sa.Text, server_default="", nullable=False),
        sa.Column("received", MOMENT, nullable=False),
        sa.Column("decided", MOMENT),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("next_try", MOMENT),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("ix_commands_author", "commands", ["author"])
    op.create_index("ix_commands_review", "commands", ["review"])
    op.create_index("ix_commands_state", "commands", ["state"])
    op.create_table(
        "false_positives",
        sa.Column("list", sa.Text, nullable=False),
        sa.Column("hazard", sa.String(64), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("classes", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("list", "hazard"),
    )
    op.create_table(
        "stops",
        sa.Column("kind", WORD, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
    )
    op.create_table(
        "lists",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
