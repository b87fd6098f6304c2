"""Pages under ``/ui/operations``: what concerns the router as a whole, for operators."""
