# SPDX-License-Identifier: GPL-2.0-or-later
"""Letters on their way out: who got them, who gets none, and the switch that stops all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(32)
_KEPT = "message_id, review, list, subject, recipients, mail, state, created"


def upgrade() -> None:
    """Make the outbox anew, with numbers, and the tables beside it."""
    op.drop_index("ix_outbox_state", "outbox")
    op.rename_table("outbox", "outbox_before")
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("review", sa.Integer),
        sa.Column("list", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("recipients", sa.JSON, nullable=False),
        sa.Column("mail", sa.LargeBinary, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", sa.Text, server_default="", nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("changed", MOMENT),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("next_try", MOMENT),
        sa.Column("asked", sa.Integer, server_default="0", nullable=False),
        sa.Column("sender", sa.Text, server_default="", nullable=False),
        sa.Column("began", MOMENT),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index("ix_outbox_state", "outbox", ["state"])
    op.create_index("ix_outbox_review", "outbox", ["review"])
    op.create_index("ix_outbox_list_began", "outbox", ["list", "began"])
    op.execute(
        f"INSERT INTO outbox ({_KEPT}) SELECT {_KEPT} FROM outbox_before ORDER BY created"  # noqa: S608
    )
    op.drop_table("outbox_before")
    op.create_table(
        "deliveries",
        sa.Column("letter", sa.Integer, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("fate", WORD, nullable=False),
        sa.Column("said", sa.Text, server_default="", nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["letter"], ["outbox.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("letter", "address"),
    )
    op.create_index("ix_deliveries_address_at", "deliveries", ["address", "at"])
    op.create_table(
        "addresses",
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("address"),
    )
    switches = op.create_table(
        "switches",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("thrown", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, server_default="", nullable=False),
        sa.Column("at", MOMENT),
        sa.PrimaryKeyConstraint("name"),
    )
    # There from the start: who sends locks this row, so that nobody sends beside a stop.
    op.bulk_insert(switches, [{"name": "stop-sending", "thrown": False, "reason": ""}])
