"""Programs: start, watch, end."""
