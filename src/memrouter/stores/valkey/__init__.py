"""Memories on Valkey with the Search module."""
