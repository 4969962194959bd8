"""The small project of `gate_project`, for every test of the plugin."""

from gate_project import gate_project, run_gate

__all__ = ["gate_project", "run_gate"]
