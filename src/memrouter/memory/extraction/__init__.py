"""From what was said to what is worth keeping: absolute dates, and facts that a model finds."""
