"""A finished turn to memories."""
