"""This repository as its own first user: the gate's options stand in pyproject.toml."""
