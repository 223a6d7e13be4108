"""uv: solves and installs wheels, makes virtual environments."""
