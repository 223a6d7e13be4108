"""What is known against locked packages: advisories, archived projects, ends of life."""
