"""Authentication by token or cookie, protection against cross-site requests, and rate limits."""
