# SPDX-License-Identifier: GPL-2.0-or-later
"""How alembic runs the migrations: on the connection that State gives it."""

from __future__ import annotations

from alembic import context

from reviewbot.service.state.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
