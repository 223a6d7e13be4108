"""Stage 3: the answer, written down."""
