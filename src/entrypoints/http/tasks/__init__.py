"""Tasks, bulk operations, assignments and the watchlist."""
