"""Adapters: the ports implemented with database drivers, file formats and cryptography."""
