"""What every room uses: YAML, files, locks on files, text and names."""
