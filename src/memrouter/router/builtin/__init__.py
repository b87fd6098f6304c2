"""The plugins that ship with the router."""
