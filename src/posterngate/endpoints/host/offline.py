"""A host that answers at its port and can reach nothing else.

A listening socket stays in the network in which it was made. So the host opens its port first and then moves
itself into a new, empty network, where the system lets it: whatever code a checkpoint might smuggle in
finds no address to send to, not even this machine's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
from pathlib import Path

__all__ = ["leave_network", "listen"]

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
_BACKLOG = 1024


def listen() -> socket.socket:
    """Return a listening socket on a loopback port that the system chose."""
    return socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)


def leave_network() -> bool:
    """Move this process into a network without addresses; call before it has other threads.

    Returns:
        False where the system doesn't allow it (not Linux, or a policy against it): the network stays open.
    """
    if sys.platform != "linux":
        return False
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    if unshare(_NEW_NETWORK) == 0:  # as root
        return True
    user, group = os.getuid(), os.getgid()
    if unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return False
    # The same names as before: files of one's own must stay one's own.
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with contextlib.suppress(OSError):
            Path(f"/proc/self/{name}").write_text(line)
    return True
