"""This machine and a built environment, read without running anything of them."""
