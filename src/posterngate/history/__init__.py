"""Runs over time, drift and paired differences. Computed here, rendered by `posterngate.report`."""

from posterngate.history.drift import DRIFT_ALPHA, ChangePoint, drift
from posterngate.history.paired import PairedDiff, diff
from posterngate.history.reruns import Rerun, reruns
from posterngate.history.series import HistoryRow, history

__all__ = [
    "DRIFT_ALPHA",
    "ChangePoint",
    "HistoryRow",
    "PairedDiff",
    "Rerun",
    "diff",
    "drift",
    "history",
    "reruns",
]
