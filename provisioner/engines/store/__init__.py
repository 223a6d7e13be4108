"""The content-addressed store, and what brings files into it."""
