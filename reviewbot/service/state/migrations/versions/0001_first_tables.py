# SPDX-License-Identifier: GPL-2.0-or-later
"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not taken from tables.py: that page changes, and what this made does not.
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(32)


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "events",
        sa.Column("id", sa.Integer),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("before", sa.String(32), nullable=False),
        sa.Column("after", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_events_subject", "events", ["kind", "subject"])
    op.create_table(
        "machines",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("birth", sa.Text, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("started", MOMENT, nullable=False),
        sa.Column("seen", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("list", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("expected", sa.Integer, nullable=False),
        sa.Column("head", sa.Text, nullable=False),
        sa.Column("change_id", sa.Text, server_default="", nullable=False),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("supersedes", sa.JSON, nullable=False),
        sa.Column("superseded_by", sa.Integer),
        sa.Column("state", WORD, nullable=False),
        sa.Column("step", WORD),
        sa.Column("verdict", WORD),
        sa.Column("reason", sa.Text, server_default="", nullable=False),
        sa.Column("failure", WORD),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("round", sa.Integer, server_default="0", nullable=False),
        sa.Column("submitted", sa.Integer, server_default="0", nullable=False),
        sa.Column("machine", sa.Text),
        sa.Column("arrived", MOMENT, nullable=False),
        sa.Column("queued", MOMENT),
        sa.Column("next_try", MOMENT),
        sa.Column("started", MOMENT),
        sa.Column("ended", MOMENT),
        sa.Column("base", sa.Text, server_default="", nullable=False),
        sa.Column("seconds", sa.JSON, nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.ForeignKeyConstraint(["superseded_by"], ["reviews.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_reviews_author", "reviews", ["author"])
    op.create_index("ix_reviews_ended", "reviews", ["ended"])
    op.create_index("ix_reviews_fingerprint", "reviews", ["fingerprint"])
    op.create_index("ix_reviews_state", "reviews", ["state"])
    op.create_table(
        "sources",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text),
        sa.Column("last_good", MOMENT),
        sa.Column("failure", WORD),
        sa.Column("reason", sa.Text, server_default="", nullable=False),
        sa.Column("failed", MOMENT),
        sa.Column("failures", sa.Integer, server_default="0", nullable=False),
        sa.Column("next_try", MOMENT),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "hazards",
        sa.Column("id", sa.Integer),
        sa.Column("review", sa.Integer, nullable=False),
        sa.Column("hazard", sa.String(64), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("classes", sa.JSON, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("patch", sa.Integer),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hazards_hazard", "hazards", ["hazard"])
    op.create_index("ix_hazards_review", "hazards", ["review"])
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("list", sa.Text, nullable=False),
        sa.Column("received", MOMENT, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("change_id", sa.Text, server_default="", nullable=False),
        sa.Column("patch_id", sa.Text, server_default="", nullable=False),
        sa.Column("ours", sa.Boolean, nullable=False),
        sa.Column("reason", WORD, nullable=False),
        sa.Column("detail", sa.Text, server_default="", nullable=False),
        sa.Column("removed", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("review", sa.Integer),
        sa.Column("post", sa.LargeBinary),
        sa.Column("raw", sa.LargeBinary),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index("ix_messages_author", "messages", ["author"])
    op.create_index("ix_messages_change_id", "messages", ["change_id"])
    op.create_index("ix_messages_patch_id", "messages", ["patch_id"])
    op.create_index("ix_messages_received", "messages", ["received"])
    op.create_index("ix_messages_review", "messages", ["review"])
    op.create_index("ix_messages_root", "messages", ["root"])
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("review", sa.Integer, nullable=False),
        sa.Column("list", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("recipients", sa.JSON, nullable=False),
        sa.Column("mail", sa.LargeBinary, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id"),
        sa.UniqueConstraint("review"),
    )
    op.create_index("ix_outbox_state", "outbox", ["state"])
    op.create_table(
        "products",
        sa.Column("review", sa.Integer, nullable=False),
        sa.Column("step", WORD, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("review", "step"),
    )
