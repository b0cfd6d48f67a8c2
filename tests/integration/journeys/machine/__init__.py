"""People who do at random what the interface offers; after each step it must show what the model says."""
