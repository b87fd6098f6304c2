"""Facts about a request: one file per signal."""
