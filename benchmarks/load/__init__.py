"""A model server that costs next to nothing, and clients that cost little more; each runs in a process of its own."""
