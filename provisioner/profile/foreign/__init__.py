"""Read what other tools call an environment, and say line by line what of it a profile can hold."""
