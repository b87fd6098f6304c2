"""What is remembered, found and shown; no HTTP, no drivers."""
