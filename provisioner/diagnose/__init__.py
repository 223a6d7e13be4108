"""Stage 6: why not, and what to do."""
