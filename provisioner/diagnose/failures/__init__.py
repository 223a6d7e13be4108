"""The catalogue of `explain`: known failures, their causes and cures."""
