"""What was validated where: the document for sharing, and what it proves."""
