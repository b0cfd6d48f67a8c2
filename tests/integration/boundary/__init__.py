"""Attacks over raw sockets on the service in a process of its own."""
