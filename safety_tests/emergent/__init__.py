"""Misalignment that shows in open questions, formats, facts and choices."""
