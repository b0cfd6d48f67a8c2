"""The vocabulary every store shares: records, specs, questions, change sets. No driver."""
