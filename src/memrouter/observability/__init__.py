"""Logs and metrics, without memory text, prompt text or raw user ids."""
