"""The fault laboratory: whole migrations with real processes, under a schedule of faults that a seed decides."""
