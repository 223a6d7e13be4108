"""Rules of the layers, from the PCI bus up; pure functions over gathered facts.

A layer is judged even when those above it are broken, and torch is never needed for the lower ones.
"""
