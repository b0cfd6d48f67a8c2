"""The live migration: backfill, verification, repair, routing and the change of ownership."""
