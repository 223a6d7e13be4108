"""Compiled modules of wheels: made by the environment's own Python, kept by the wheel's digest."""
