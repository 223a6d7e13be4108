"""Stage 2: which exact files answer it."""
