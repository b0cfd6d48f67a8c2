"""Case data that several test modules share."""
