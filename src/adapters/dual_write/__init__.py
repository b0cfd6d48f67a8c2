"""The mirror: delivers every write of the source to the target, also after crashes. Uses RecordStore, no driver."""
