"""The record store over MontyDB, for one process: in memory or in sqlite files, atomic by a journal."""
