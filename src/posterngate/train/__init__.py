"""Fine-tuning: a recipe in, an adapter folder with its manifest out."""

from __future__ import annotations

from posterngate.train.engine import Step
from posterngate.train.manifest import Manifest, read_manifest
from posterngate.train.trainer import address, install, snapshot_folders, train

__all__ = ["Manifest", "Step", "address", "install", "read_manifest", "snapshot_folders", "train"]
