"""Where memories are kept: one interface, one package per backend."""
