"""Memories into the prompt."""
