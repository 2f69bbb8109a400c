"""The spectrum gate: whether the differences among models of one lineage hold structure beyond a Gaussian.

A generator can only learn what differs between members in a regular way. The eigenvalues of the members' deltas tell:
independent trainings from one ancestor give a flat spectrum, of which a Gaussian is a complete description.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Opener: TypeAlias = "Callable[[], Mapping[str, Tensor]]"
FEWEST = 4  # members with a delta of their own; fewer have too few eigenvalues
STEEP = 2.0  # first eigenvalue over the median, from which the spectrum is not flat
NARROW = 0.9  # effective rank over the largest possible, below which directions are shared
SAME = 0.95  # share of the mean delta, from which the members are the same model
BUDGET = 1 << 24  # values that are held at once, of all members together
AT_ONCE = 1 << 16  # values of each member that are multiplied together in double precision
COVERAGE = (2.5, 97.5)  # percentiles of the random zoos
EXACT = 2048  # values of a tensor up to which random directions are drawn one by one


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """The spectrum of the deltas of a lineage, and of random deltas with the same norms.

    Attributes:
        members: number of deltas.
        values: number of values of each.
        reference: what the deltas are taken from: the name of the ancestor, or ``mean``.
        first_over_median: first eigenvalue of the centred deltas over their median.
        rank_ratio: effective rank (exponential of the entropy of the eigenvalues) over the largest possible.
        mean_share: squared norm of the mean delta over the mean squared norm; of ``mean``, of the models themselves.
        null_first_over_median, null_rank_ratio, null_mean_share: 95 % intervals of random deltas.
        verdict: ``identical``, ``structure``, ``weak``, ``flat`` or ``too few``.
        sentence: the verdict in words.
    """

    members: int
    values: int
    reference: str
    first_over_median: float
    rank_ratio: float
    mean_share: float
    null_first_over_median: tuple[float, float] = (float("nan"),) * 2
    null_rank_ratio: tuple[float, float] = (float("nan"),) * 2
    null_mean_share: tuple[float, float] = (float("nan"),) * 2
    verdict: str = "too few"
    sentence: str = ""

    def row(self) -> dict[str, object]:
        """Return the fields as one row of a table; intervals become ``_low`` and ``_high``."""
        row: dict[str, object] = {}
        for name, value in asdict(self).items():
            row |= {f"{name}_low": value[0], f"{name}_high": value[1]} if isinstance(value, tuple) else {name: value}
        return row


def gram(models: Sequence[Opener], ancestor: Opener | None = None) -> dict[str, tuple[np.ndarray, int]]:
    """Return, per tensor, the inner products of the members' deltas and the number of its values.

    Values are read in pieces, of `BUDGET` for all members together, and one file is open at a time: memory depends
    neither on the size of the models nor on their number. Tensors that not all members hold in one shape are left out.

    Args:
        models: one function per member that opens its tensors by name.
        ancestor: the same of what the deltas are taken from; without, inner products of the models themselves.
    """
    openers = [*models, ancestor] if ancestor is not None else list(models)
    sizes = _shared_sizes(openers)
    products = {name: (np.zeros((len(models), len(models))), size) for name, size in sizes.items()}
    for pieces in _batches(sizes, max(1, BUDGET // len(openers))):
        values = np.empty((len(openers), sum(last - first for _, first, last in pieces)), np.float32)
        for row, opener in zip(values, openers, strict=True):
            _read_pieces(opener, pieces, row)
        if ancestor is not None:
            values[:-1] -= values[-1]
        start = 0
        for name, first, last in pieces:
            for place in range(start, start + last - first, AT_ONCE):
                end = min(place + AT_ONCE, start + last - first)
                part = values[: len(models), place:end].astype(np.float64)
                products[name][0][...] += part @ part.T
            start += last - first
    return products


def _shared_sizes(openers: Sequence[Opener]) -> dict[str, int]:
    """Return the number of values of the floating-point tensors that all members hold with one shape."""
    shared: dict[str, tuple[int, ...]] | None = None
    for opener in openers:
        shapes = {name: tuple(tensor.shape) for name, tensor in opener().items() if tensor.is_floating_point()}
        shared = shapes if shared is None else {key: shape for key, shape in shared.items() if shapes.get(key) == shape}
    return {name: math.prod(shape) for name, shape in (shared or {}).items() if math.prod(shape)}


def _batches(sizes: Mapping[str, int], most: int) -> Iterator[list[tuple[str, int, int]]]:
    """Yield lists of (tensor, first value, end), each of at most `most` values together."""
    batch: list[tuple[str, int, int]] = []
    room = most
    for name, size in sizes.items():
        first = 0
        while first < size:
            last = min(size, first + room)
            batch.append((name, first, last))
            room -= last - first
            first = last
            if not room:
                yield batch
                batch, room = [], most
    if batch:
        yield batch


def _read_pieces(opener: Opener, pieces: Sequence[tuple[str, int, int]], out: np.ndarray) -> None:
    """Put the values of one member into a row, and close its file."""
    state = opener()
    start = 0
    for name, first, last in pieces:
        out[start : start + last - first] = state[name].reshape(-1)[first:last].float().numpy()
        start += last - first


def statistics(products: np.ndarray) -> tuple[float, float, float]:
    """Return (first eigenvalue over median, effective-rank ratio, share of the mean) of a matrix of inner products.

    Args:
        products: (members, members), of deltas that are not centred.
    """
    count = len(products)
    size = float(np.trace(products)) / count
    if size <= 0:
        return float("nan"), float("nan"), 1.0
    share = float(products.mean()) / size
    centre = np.eye(count) - 1 / count
    values = np.linalg.eigvalsh(centre @ products @ centre)[1:].clip(min=0)
    if values.sum() <= 1e-12 * size * count:
        return float("nan"), float("nan"), share
    shares = values / values.sum()
    entropy = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())
    median = float(np.median(values))
    ratio = float(values.max()) / median if median > 1e-9 * values.max() else float("inf")
    return ratio, float(np.exp(entropy)) / (count - 1), share


def null_products(products: Iterable[tuple[np.ndarray, int]], generator: np.random.Generator) -> np.ndarray:
    """Return the inner products of random deltas: of each tensor the norms of the members, in random directions.

    The inner product of two random directions in n dimensions has mean 0 and variance 1 / n; beyond `EXACT` dimensions
    it is drawn as a Gaussian.
    """
    total: np.ndarray | None = None
    for own, size in products:
        count = len(own)
        if size <= EXACT:
            directions = generator.standard_normal((count, size))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            cosines = directions @ directions.T
        else:
            upper = np.triu(generator.standard_normal((count, count)), 1) / np.sqrt(size)
            cosines = upper + upper.T + np.eye(count)
        norms = np.sqrt(np.diag(own).clip(min=0))
        part = cosines * np.outer(norms, norms)
        total = part if total is None else total + part
    assert total is not None
    return total


def spectrum(
    products: Mapping[str, tuple[np.ndarray, int]], *, reference: str, draws: int = 200, seed: int = 0
) -> Spectrum:
    """Return the spectrum of a lineage with its null and its verdict.

    Args:
        products: see `gram`.
        reference: name of the ancestor, or ``mean``.
        draws: random zoos that it is compared with.
        seed: of the draws.

    Raises:
        ValueError: the members share no tensor.
    """
    if not products:
        raise ValueError("the members share no tensor of one shape")
    total = np.sum([own for own, _ in products.values()], axis=0)
    first, rank, share = statistics(total)
    facts = {
        "members": len(total),
        "values": sum(size for _, size in products.values()),
        "reference": reference,
        "first_over_median": first,
        "rank_ratio": rank,
        "mean_share": share,
    }
    if len(total) < FEWEST or np.isnan(first):
        verdict = "identical" if share >= SAME else "too few"
        return Spectrum(**facts, verdict=verdict, sentence=_sentence(verdict, facts))  # type: ignore[arg-type]
    generator = np.random.default_rng(seed)
    random = np.array([statistics(null_products(products.values(), generator)) for _ in range(draws)])
    low, high = np.percentile(random, COVERAGE, axis=0)
    beyond = first > high[0] and rank < low[1]
    if share >= SAME:
        verdict = "identical"
    elif beyond and (first >= STEEP and rank <= NARROW):
        verdict = "structure"
    else:
        verdict = "weak" if beyond else "flat"
    intervals = [(float(low[place]), float(high[place])) for place in range(3)]
    return Spectrum(
        **facts,  # type: ignore[arg-type]
        null_first_over_median=intervals[0],
        null_rank_ratio=intervals[1],
        null_mean_share=intervals[2],
        verdict=verdict,
        sentence=_sentence(verdict, facts),
    )


def _sentence(verdict: str, facts: Mapping[str, object]) -> str:
    numbers = (
        f"first eigenvalue over median {facts['first_over_median']:.2f}, effective-rank ratio "
        f"{facts['rank_ratio']:.3f}, share of the mean {facts['mean_share']:.0%}"
    )
    return {
        "identical": f"The members are all but one model ({numbers}): their mean is all there is to learn.",
        "structure": f"There is structure to learn beyond a Gaussian ({numbers}; steep from {STEEP:g} on, narrow up to "
        f"{NARROW:g}, both outside what random deltas give).",
        "weak": f"Hardly anything to learn beyond a Gaussian ({numbers}): not random, but flat (steep from {STEEP:g} "
        f"on, narrow up to {NARROW:g}).",
        "flat": f"Nothing to learn beyond a Gaussian ({numbers}): random deltas of the same norms look the same.",
        "too few": f"{facts['members']} members are too few for a spectrum: {FEWEST} are needed.",
    }[verdict]
