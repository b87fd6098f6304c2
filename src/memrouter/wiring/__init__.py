"""How the parts of a running router are put together, part by part; ``runtime`` says in which order."""
