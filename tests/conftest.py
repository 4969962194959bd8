"""What every folder of tests may use: pytest's own fixture for projects, and a PostgreSQL server."""

from postgres_server import postgres

__all__ = ["postgres"]
pytest_plugins = ["pytester"]
