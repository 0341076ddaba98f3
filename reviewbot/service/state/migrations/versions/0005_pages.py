# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished review as a page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; reviews done before have none."""
    op.add_column("reviews", sa.Column("page", sa.LargeBinary))
