"""What many machines say of one profile: read as hostile, and never taken for better than proven."""
