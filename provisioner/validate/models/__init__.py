"""Weights for validation, prepared on our side of the process border."""
