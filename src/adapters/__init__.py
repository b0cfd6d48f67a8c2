"""Everything with a driver, a format or a file behind it."""
