"""Projects and their timelines."""
