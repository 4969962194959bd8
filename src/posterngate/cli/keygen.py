"""Make an Ed25519 key pair for `sign` and `verify`: FILE, readable by its owner alone, and FILE.pub.

The private key is encrypted if POSTERNGATE_SIGNING_PASSPHRASE is set. Nothing is ever overwritten.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.add_argument("file", type=Path, metavar="FILE", help="where the private key goes")


def run(args: argparse.Namespace) -> int:
    """Write both files and print their names; 4 if one is there already."""
    from posterngate.attest.keys import new_key

    public, keyid = new_key(args.file)
    print(f"private key {args.file} (keep it secret, mode 0600)\npublic key  {public}\nkey id      {keyid}")
    return 0
