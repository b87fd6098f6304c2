"""Tools for tests of memrouter and of stores, embedders and plugins made for it."""
