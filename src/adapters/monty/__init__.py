"""The record store over MontyDB, with SQLite as its database."""
