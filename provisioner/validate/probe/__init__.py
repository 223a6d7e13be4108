"""The part of validation that runs inside the environment.

Started by the environment's interpreter as a script, never imported by the tool: it knows nothing of the
tool, uses only the standard library and what the environment has, and works on Python 3.9. It measures; the
parent judges.
"""
