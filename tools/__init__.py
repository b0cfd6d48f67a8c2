"""Programs for whoever works on the code; none of them is part of the service."""
