"""The small project of `gate_project`, broken in many ways."""

from gate_project import gate_project, run_gate

__all__ = ["gate_project", "run_gate"]
