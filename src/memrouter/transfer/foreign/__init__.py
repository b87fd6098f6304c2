"""Memories that another memory layer exported, made into lines of our own data format."""
