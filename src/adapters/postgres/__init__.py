"""PostgreSQL as a record store, and a server of our own for machines without one."""
