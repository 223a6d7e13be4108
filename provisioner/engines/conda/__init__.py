"""rattler: solves and links conda packages, in worker processes."""
