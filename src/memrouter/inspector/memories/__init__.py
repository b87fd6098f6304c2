"""The pages of a person: the own memories, and why one is recalled."""
