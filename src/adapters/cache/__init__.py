"""Copies of records that save the store a read: in the process or in Redis, never older than what was acknowledged."""
