"""The inspector: web pages under ``/ui`` for a person's own memories and for operators. Rendered by the server."""
