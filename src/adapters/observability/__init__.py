"""What the process tells about itself: events, access lines, counters."""
