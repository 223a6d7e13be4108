"""What every room stands on: YAML, files, locks, text and names."""
