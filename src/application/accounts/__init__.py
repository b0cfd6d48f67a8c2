"""Use cases of users and their sessions."""
