"""Alembic's entry: runs migrations on the connection that `migrate` hands over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from database.columns import NAMING_CONVENTION

context.configure(
    connection=context.config.attributes["connection"],
    # The tables are the domains'; migrations need the names of their constraints only.
    target_metadata=sa.MetaData(naming_convention=NAMING_CONVENTION),
    # Both databases roll back DDL; the transaction is the caller's.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
