"""The service as dictionaries: what it promises about tasks, teams, projects and the trash, and nothing of how."""
