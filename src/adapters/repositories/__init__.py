"""The typed repositories, written once for all stores."""
