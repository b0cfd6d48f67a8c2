"""What the process reports about itself: events, access lines, counters."""
