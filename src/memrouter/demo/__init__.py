"""The story that shows the main job against a real upstream."""
