"""Use cases of projects and their timelines."""
