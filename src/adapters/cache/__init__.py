"""A cache of records in the process or in Redis; never older than the last acknowledged commit."""
