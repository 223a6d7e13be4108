"""The command line: arguments in, result out; no logic."""
