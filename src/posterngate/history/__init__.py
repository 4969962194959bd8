"""Runs over time and paired differences. Computed here, rendered by `posterngate.report`."""

from posterngate.history.paired import PairedDiff, diff
from posterngate.history.series import HistoryRow, history

__all__ = ["HistoryRow", "PairedDiff", "diff", "history"]
