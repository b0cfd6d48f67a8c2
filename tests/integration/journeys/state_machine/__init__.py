"""A stateful test: random actions of several people; after each step the service must show what the model says."""
