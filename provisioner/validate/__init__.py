"""Stage 5: does it work on this machine."""
