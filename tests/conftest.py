"""What every folder of tests may use: pytest's own fixture for projects, and a PostgreSQL server."""

from postgres_server import own_postgres, postgres

__all__ = ["own_postgres", "postgres"]
pytest_plugins = ["pytester"]
