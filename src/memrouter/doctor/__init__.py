"""``memrouter doctor``: looks at everything that the router needs and says what is wrong and how to mend it."""
