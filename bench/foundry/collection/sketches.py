"""Sketches: the matrices of a model, sampled at fixed places, from which lineage is told without the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.foundry.tokens.roles import MATRICES, natural, roles_of

if TYPE_CHECKING:
    from torch import Tensor

MOST = 1 << 16  # values kept of a matrix
FEWEST_COLUMNS = 4  # rows with fewer values point the same way by chance
FUSED = ("qkv.weight", "in_proj_weight", "qkv_proj.weight", "Wqkv.weight", "query_key_value.weight")
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One matrix of a sketch.

    Attributes:
        name: of the tensor; parts of a fused query, key and value are numbered.
        shape: of the tensor without trailing axes of size one, so that a 1 x 1 convolution is a linear map.
        start: of its values in the sketch's file.
        rows, columns: of the sampled values.
        norms: sorted norms of all its rows and of all its input channels, relative to their mean.
    """

    name: str
    shape: Shape
    start: int
    rows: int
    columns: int
    norms: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """The sampled matrices of one model, kept in a file.

    Attributes:
        path: float32 values, one matrix after the other.
        matrices: grouped by shape, in the natural order of their names.
        values: number of values of all matrices of the model.
    """

    path: Path
    matrices: Mapping[Shape, tuple[Matrix, ...]]
    values: int

    def read(self, matrix: Matrix) -> np.ndarray:
        """Return the sampled values of a matrix, (rows, columns)."""
        count = matrix.rows * matrix.columns
        values = np.fromfile(self.path, dtype=np.float32, count=count, offset=4 * matrix.start)
        return values.reshape(matrix.rows, matrix.columns)


def matrices_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that lineage is told from, in natural order of their names: convolutions and linear maps.

    Fused query, key and value matrices are cut in three, as other libraries store them. Tables (positions, embeddings)
    are left out, since formulas fill some of them; so are rows of fewer than `FEWEST_COLUMNS` values.
    """
    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    roles = roles_of({name: tuple(tensor.shape) for name, tensor in floats.items()})
    matrices: dict[str, Tensor] = {}
    for name in sorted(floats, key=natural):
        tensor = floats[name]
        if roles[name] not in MATRICES or tensor.numel() < FEWEST_COLUMNS * tensor.shape[0]:
            continue
        if name.endswith(FUSED) and tensor.shape[0] % 3 == 0:
            matrices |= {f"{name}.{part}": value for part, value in enumerate(tensor.chunk(3))}
        else:
            matrices[name] = tensor
    return matrices


def sketch(state: Mapping[str, Tensor], path: Path) -> Sketch:
    """Sample the matrices of a model into a file and return the sketch.

    Of a matrix of more than `MOST` values rows are taken at even distances, and columns where 64 rows are too many; the
    places follow from the shape alone.

    Args:
        state: tensors by name.
        path: of the new file.
    """
    groups: dict[Shape, list[Matrix]] = {}
    start = total = 0
    with path.open("wb") as stream:
        for name, tensor in matrices_of(state).items():
            values = sampled(tensor)
            shape = tuple(tensor.shape)
            while len(shape) > 1 and shape[-1] == 1:
                shape = shape[:-1]
            rows, columns = values.shape
            matrix = Matrix(name=name, shape=shape, start=start, rows=rows, columns=columns, norms=_norms(tensor))
            groups.setdefault(shape, []).append(matrix)
            stream.write(values.tobytes())
            start += rows * columns
            total += tensor.numel()
    return Sketch(path=path, matrices={shape: tuple(group) for shape, group in groups.items()}, values=total)


def sampled(tensor: Tensor) -> np.ndarray:
    """Return at most about `MOST` values of a matrix as float32 (rows, columns), at places that the shape decides."""
    flat = tensor.reshape(tensor.shape[0], -1)
    rows, columns = flat.shape
    kept_columns = columns if min(rows, 64) * columns <= MOST else MOST // min(rows, 64)
    kept_rows = min(rows, max(1, MOST // kept_columns))
    row_places = np.linspace(0, rows - 1, kept_rows).round().astype(np.int64)
    column_places = np.linspace(0, columns - 1, kept_columns).round().astype(np.int64)
    part = flat[row_places.tolist()].float()
    values: np.ndarray = (part if kept_columns == columns else part[:, column_places.tolist()]).numpy()
    return values


def _norms(tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted norms of rows and of input channels over their means: a permuted copy has the same."""
    from torch import linalg

    flat = tensor.reshape(tensor.shape[0], tensor.shape[1], -1).float()
    rows, columns = linalg.vector_norm(flat, dim=(1, 2)).numpy(), linalg.vector_norm(flat, dim=(0, 2)).numpy()
    return _relative(rows), _relative(columns)


def _relative(norms: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.sort(norms) / max(float(norms.mean()), 1e-30)
    return result.astype(np.float32)
