"""The mirror: every write of the source reaches the target, whatever dies in between. Knows RecordStore, no driver."""
