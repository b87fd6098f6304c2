"""The embedded store: one file; the reference for correct behaviour."""
