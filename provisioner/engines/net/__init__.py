"""The network: addresses, settings, one client."""
