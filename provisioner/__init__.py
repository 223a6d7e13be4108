"""Locked conda + pip environments for language models on Intel Arc GPUs, proven by a real forward pass."""

__version__ = "0.1.0"
