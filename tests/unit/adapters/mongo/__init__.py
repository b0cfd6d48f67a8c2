"""The MongoDB adapter's parts that need no server."""
