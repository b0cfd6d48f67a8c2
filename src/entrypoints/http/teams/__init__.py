"""Teams, their members, and roles."""
