"""One torch job at a time on the processor, whichever process it belongs to.

Two jobs that each use every core slow each other down many times over, so hosts and trainings
take turns with a lock file in the user's cache folder.
"""

from __future__ import annotations

import time
from pathlib import Path

from filelock import FileLock

__all__ = ["CpuTurn"]

_POLL_S = 0.002
_LONGEST_S = 1.0
_YIELD_S = 0.01


class CpuTurn:
    """Holds the right to use all cores while there is work, and lets others in once a second.

    Args:
        path: the lock file, or None where turns are not needed (a GPU does the work).
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path, thread_local=False)
        self._since = 0.0

    def take(self) -> None:
        """Wait for the turn, or keep it; a turn held for long is offered to others first."""
        if self._lock is None:
            return
        if self._lock.is_locked and time.monotonic() - self._since > _LONGEST_S:
            self._lock.release()
            time.sleep(_YIELD_S)
        if not self._lock.is_locked:
            self._lock.acquire(poll_interval=_POLL_S)
            self._since = time.monotonic()

    def leave(self) -> None:
        """Give the turn back; does nothing if it is not held."""
        if self._lock is not None and self._lock.is_locked:
            self._lock.release()

    def __enter__(self) -> CpuTurn:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
