"""A process for the background jobs."""
