"""Stage 4: the lock, made real on disk."""
