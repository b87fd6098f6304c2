"""What the messages of a request say about it."""
