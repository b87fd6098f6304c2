"""The filter between retrieval and injection."""
