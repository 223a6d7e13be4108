"""The jobs of `provision`, each readable from top to bottom in one file."""
