"""Ansible: which machines an inventory names, and a playbook on them."""
