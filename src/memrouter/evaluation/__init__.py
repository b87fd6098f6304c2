"""Measures retrieval, threshold and isolation through the real store and service."""
