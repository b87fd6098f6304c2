"""Signals, decision, plugins, pipeline: one request from end to end."""
