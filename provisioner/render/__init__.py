"""Results, errors and progress, as words or as JSON."""
