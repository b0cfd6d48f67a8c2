"""The command line and the service as processes of their own."""
