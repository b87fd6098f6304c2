"""Several processes that answer behind one port, and the one that looks after them."""
