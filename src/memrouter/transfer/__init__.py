"""Moving memories: one data format, export and import, from one store to another, from one model to another."""
