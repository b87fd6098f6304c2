"""The typed configuration tree and its loader."""
