"""What HTTP itself asks of every operation; knows no resource."""
