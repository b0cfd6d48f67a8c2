"""A record store over MongoDB. Only this package knows pymongo."""
