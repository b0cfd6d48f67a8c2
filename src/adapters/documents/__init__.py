"""What the stores of documents share: BSON, read by a path of its own for verification."""
