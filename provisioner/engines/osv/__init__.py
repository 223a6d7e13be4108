"""The OSV service: which advisories name a package's version."""
