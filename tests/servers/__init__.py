"""Real servers for tests, started on free ports or sockets of their own, and the faults tests do to them."""
