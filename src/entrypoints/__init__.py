"""The ways in: HTTP, command line, worker, and the composition that wires them."""
