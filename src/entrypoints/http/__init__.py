"""HTTP: bodies in, use cases called, views out."""
