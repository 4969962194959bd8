"""The build step that puts the gate's own files into the wheel; everything else stands in pyproject.toml.

Safety tests, fixtures and policy lie beside `src`, where this repository uses them as its first user.
An installed package needs them too: judges read their rubrics there, and `posterngate init` copies them.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("thresholds.yaml", "safety_tests", "fixtures")
LEFT_OUT = ("__pycache__", "gold")  # gold: what the judge was fitted on is no use to a gate


class BuildWithFixtures(build_py):
    """`build_py` that also copies SHIPPED into the package; an editable install reads the checkout."""

    def run(self):
        """Copy after the package's own modules are in place."""
        super().run()
        if not self.editable_mode:
            for source in shipped_files():
                target = Path(self.build_lib, "posterngate", source)
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))


def shipped_files():
    """Return the shipped files, relative to this folder."""
    found = [path for name in SHIPPED for path in [Path(name), *sorted(Path(name).rglob("*"))]]
    return [path for path in found if path.is_file() and not set(path.parts) & set(LEFT_OUT)]


setup(cmdclass={"build_py": BuildWithFixtures})
