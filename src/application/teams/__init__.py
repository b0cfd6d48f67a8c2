"""Use cases of teams, their members and roles."""
