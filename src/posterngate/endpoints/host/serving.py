"""Joins model, tokenizer, decoder, reader and thread into the one thing that routes need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from posterngate.endpoints.digest import model_digest
from posterngate.endpoints.embedded_model import cache_folder
from posterngate.endpoints.host.cpu_turn import CpuTurn
from posterngate.endpoints.host.decoder import Decoder
from posterngate.endpoints.host.model_thread import ModelThread
from posterngate.endpoints.host.network import Network
from posterngate.endpoints.host.prefill import Prefiller
from posterngate.endpoints.host.prompts import Prompts
from posterngate.endpoints.host.reader import Reader
from posterngate.errors import UsageError

__all__ = ["Serving"]


@dataclass(frozen=True)
class Serving:
    """A loaded model, ready to answer. `digest` is that of its files."""

    name: str
    digest: str
    network: Network
    prompts: Prompts
    prefiller: Prefiller
    reader: Reader
    thread: ModelThread

    @classmethod
    def load(cls, folder: Path, name: str, device: str, batch: int, threads: int | None) -> Serving:
        """Load a model folder and start its thread.

        Args:
            device: ``auto``, ``cpu`` or ``cuda``.
            batch: the most rows in one pass.
            threads: torch threads; None takes every core that this process may use.

        Raises:
            UsageError: the folder cannot be served, or there is no such device.
        """
        digest = model_digest(folder)
        device = _device(device)
        torch.set_num_threads(threads or _cores())
        turn = CpuTurn(cache_folder() / "cpu.lock" if device == "cpu" else None)
        network, prompts = _read(folder, device, turn)
        prefiller, reader = Prefiller(network), Reader(network)
        ends = prompts.end_ids(network.model.generation_config)
        decoder = Decoder(network, prefiller, prompts.tokenizer, batch, ends)
        thread = ModelThread(decoder, reader, turn)
        thread.start()
        return cls(name, digest, network, prompts, prefiller, reader, thread)

    @property
    def engine(self) -> str:
        """Name and versions of what computes the answers."""
        kind = self.network.device.type
        return f"posterngate-host; transformers {transformers.__version__}; torch {torch.__version__}; {kind}"

    def forget(self) -> None:
        """Drop what was kept for adapters; called on the model thread after one was unloaded."""
        self.network.mixer.forget()
        self.prefiller.forget()
        self.reader.forget()


def _read(folder: Path, device: str, turn: CpuTurn) -> tuple[Network, Prompts]:
    """Load weights and tokenizer; whatever the libraries raise becomes one line."""
    try:
        with turn:
            network = Network(folder, device)
        return network, Prompts(folder, network.context)
    except UsageError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"model={folder}: cannot be loaded ({type(error).__name__}: {reason})") from error


def _device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("device='cuda' is not available here: use cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
