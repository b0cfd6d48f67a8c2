"""Who owns a store: control records, the comparison of two stores, and the refusal of copies and clones."""
