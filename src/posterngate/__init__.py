"""A pytest-style safety regression harness for model release gates."""

__version__ = "0.1.0"
