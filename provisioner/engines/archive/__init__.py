"""Archives: what may be unpacked."""
