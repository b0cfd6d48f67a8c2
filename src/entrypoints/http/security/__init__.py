"""Who calls, by which token or cookie, how often, and from which page."""
