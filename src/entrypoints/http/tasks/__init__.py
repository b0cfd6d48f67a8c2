"""Tasks: one, many at once, their assignments, and the watchlist."""
