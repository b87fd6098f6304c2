"""What is let go and what is merged: retention and consolidation."""
