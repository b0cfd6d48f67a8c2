"""Use cases of the audit trail, the trash of all users and retention."""
