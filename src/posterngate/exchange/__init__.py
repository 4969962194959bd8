"""Runs out to other tools, and other tools' questions in. Nothing here computes a statistic."""

from posterngate.registry import Registry

__all__ = ["EXPORTS", "IMPORTS"]

EXPORTS = Registry(
    "export format",
    {
        "eval": "posterngate.exchange.inspect_log:InspectLog",
        "jsonl": "posterngate.exchange.lines:Lines",
        "parquet": "posterngate.exchange.parquet:Parquet",
    },
)
"""Format name → an `ExportFormat`: how it writes answers, and how it counts them when read again."""

IMPORTS = Registry(
    "import source",
    {
        "authors": "posterngate.exchange.questions:from_authors",
        "garak": "posterngate.exchange.questions:from_garak",
        "promptfoo": "posterngate.exchange.questions:from_promptfoo",
    },
)
"""Source name → a function from a file to the questions in it."""
