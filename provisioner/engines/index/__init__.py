"""Package indexes: their pages, metadata and files, and the one that a resolver sees."""
