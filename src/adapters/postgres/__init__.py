"""PostgreSQL as a record store."""
