"""Real processes killed, frozen and stopped at bad moments, and what must be true afterwards."""
