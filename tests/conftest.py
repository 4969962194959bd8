"""What every folder of tests may use: pytest's own fixture for running pytest on a small project."""

pytest_plugins = ["pytester"]
