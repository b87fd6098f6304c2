"""Cross-encoders: models that read a question and a memory together."""
