"""Other products, each in a virtual environment of its own: without memrouter, and run by its own interpreter."""
