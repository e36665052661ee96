"""Alembic's entry: over the connection, and in the transaction, of `migrate`."""

from alembic import context

from reverie.server.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
