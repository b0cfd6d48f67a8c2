"""Settings, stores, use cases and their order of opening and closing: the only place that imports adapters."""
