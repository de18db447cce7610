"""Alembic's entry: runs migrations on the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from billing.stores.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # Both databases roll back DDL; the transaction is the caller's.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
