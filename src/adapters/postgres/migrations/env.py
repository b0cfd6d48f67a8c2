"""How Alembic runs a revision: over the connection and in the transaction that `adapters.postgres.migrate` opened."""

from alembic import context

from adapters.postgres.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
)
context.run_migrations()
