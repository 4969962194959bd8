"""Renderings of stored runs. Nothing here computes a statistic: old runs never change their numbers."""

from posterngate.registry import Registry

__all__ = ["FORMATS"]

FORMATS = Registry(
    "report",
    {
        "html": "posterngate.report.html:html",
        "json": "posterngate.report.document:as_json",
        "md": "posterngate.report.markdown:markdown",
        "text": "posterngate.report.terminal:summary",
    },
)
"""Format name → a function from a run document to text."""
