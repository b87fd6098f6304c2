"""Plain data that all layers share."""
