"""Keys and values of all rows in one preallocated block per layer.

Row r holds its tokens at columns 0, 1, 2, ...: no padding in front, so that a row can be copied,
extended or dropped without moving its neighbours. What lies beyond a row's length is never visible.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["Slab", "Window"]

_STEP = 64


class Slab:
    """Blocks of shape (rows, heads, width, head size), allocated per layer when first written."""

    def __init__(self) -> None:
        self._keys: dict[int, Any] = {}
        self._values: dict[int, Any] = {}
        self._rows = 0
        self._width = 0

    def reserve(self, rows: int, width: int) -> None:
        """Make room for so many rows and columns; what is stored stays."""
        if rows <= self._rows and width <= self._width:
            return
        self._rows = max(self._rows, rows)
        self._width = max(self._width, -(-width // _STEP) * _STEP)
        for table in (self._keys, self._values):
            for layer, block in table.items():
                table[layer] = self._grown(block)

    def clear(self) -> None:
        """Forget everything and return the memory."""
        self.__init__()  # type: ignore[misc]

    def block(self, layer: int, like: Any) -> tuple[Any, Any]:
        """Return the (keys, values) blocks of a layer, made to match `like` if they are new."""
        if layer not in self._keys:
            shape = (self._rows, like.shape[1], self._width, like.shape[3])
            # Zeros, not empty memory: a masked column still takes part in a product, and 0 × NaN is NaN.
            self._keys[layer] = like.new_zeros(shape)
            self._values[layer] = like.new_zeros(shape)
        return self._keys[layer], self._values[layer]

    def copy_rows(self, source: list[int], target: list[int], width: int) -> None:
        """Copy the first `width` columns of rows to other rows."""
        if not source:
            return
        for table in (self._keys, self._values):
            for block in table.values():
                block[target, :, :width] = block[source, :, :width]

    def read(self, row: int, width: int) -> dict[int, tuple[Any, Any]]:
        """Return copies of a row's first columns by layer, each (heads, width, head size)."""
        return {
            layer: (block[row, :, :width].clone(), self._values[layer][row, :, :width].clone())
            for layer, block in self._keys.items()
        }

    def write(self, rows: list[int], entry: dict[int, tuple[Any, Any]], width: int) -> None:
        """Write the first `width` columns of what `read` returned into rows."""
        for layer, (keys, values) in entry.items():
            key_block, value_block = self.block(layer, keys[None])
            key_block[rows, :, :width] = keys[:, :width]
            value_block[rows, :, :width] = values[:, :width]

    def _grown(self, block: Any) -> Any:
        rows, heads, width, size = block.shape
        grown = block.new_zeros((self._rows, heads, self._width, size))
        grown[:rows, :, :width] = block
        return grown


class Window:
    """The cache that one forward pass sees: some neighbouring rows, new tokens at given columns.

    Args:
        first: the first row; there are as many rows as `columns` has.
        columns: rows × new tokens, the column that each new token is written to.
        width: columns that the pass attends to.
    """

    is_compileable = False

    def __init__(self, slab: Slab, first: int, columns: Any, width: int) -> None:
        self._slab = slab
        self._rows = slice(first, first + columns.shape[0])
        self._row_index = torch.arange(first, first + columns.shape[0], device=columns.device)[:, None]
        self._columns = columns
        self._width = width

    def update(self, keys: Any, values: Any, layer_idx: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Store new keys and values (rows, heads, new, size); return all that is in sight."""
        key_block, value_block = self._slab.block(layer_idx, keys)
        key_block[self._row_index, :, self._columns] = keys.transpose(1, 2)
        value_block[self._row_index, :, self._columns] = values.transpose(1, 2)
        return key_block[self._rows, :, : self._width], value_block[self._rows, :, : self._width]

    def get_seq_length(self, *_: Any) -> int:
        """Positions are always given explicitly, so the length that models ask for is not used."""
        return 0
