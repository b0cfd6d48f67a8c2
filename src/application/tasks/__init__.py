"""Use cases of tasks, their assignments and the watchlist."""
