"""Adapters: one module per outside tool."""
