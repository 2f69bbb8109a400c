"""Lineage of networks, from their weights alone: copies, relatives, strangers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

COPY, RELATED, STRANGERS = 0.99, 0.2, 0.05
"""Limits of the cosine, set on real MobileNetV2s: five networks, one pair of which share an ancestor."""


def matrices(network: nn.Module) -> list[str]:
    """Return the names of the weights of a network's linear maps and convolutions.

    Norms, biases and position embeddings are left out: they resemble each other in networks that share nothing.
    """
    kinds = (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding)
    return [f"{path}.weight" for path, module in network.named_modules() if isinstance(module, kinds)]


def row_cosine(first: Mapping[str, Tensor], other: Mapping[str, Tensor], names: list[str]) -> float:
    """Return the mean cosine between corresponding rows of two networks' weights.

    Args:
        first: tensor name -> values.
        other: of the same names and shapes.
        names: those compared, with two dimensions or more; a row is what one output reads.
    """
    cosines, rows = 0.0, 0
    for name in names:
        values = cosine_similarity(first[name].double().flatten(1), other[name].double().flatten(1), dim=1)
        cosines, rows = cosines + float(values.sum()), rows + len(values)
    return cosines / max(rows, 1)


def verdict(cosine: float) -> str:
    """Return what a cosine means, in words.

    >>> verdict(0.5)
    'same lineage'
    """
    if cosine > COPY:
        return "nearly the same weights"
    if cosine >= RELATED:
        return "same lineage"
    return "unrelated" if cosine < STRANGERS else "lineage unclear"


def kinship(members: Mapping[str, Mapping[str, Tensor]], names: list[str]) -> dict[tuple[str, str], float]:
    """Return the cosine of every pair of members, see `row_cosine`.

    Args:
        members: label -> state.
        names: of the weights compared.
    """
    return {(a, b): row_cosine(members[a], members[b], names) for a, b in combinations(members, 2)}


def warnings_of(cosines: Mapping[tuple[str, str], float]) -> list[str]:
    """Return a warning in words for every pair that should not be merged, or need not be."""
    lines = []
    for (first, other), cosine in cosines.items():
        if cosine > COPY:
            lines.append(
                f"{first} and {other} hold nearly the same weights (cosine {cosine:.3f}): one of them adds little"
            )
        elif cosine < RELATED:
            lines.append(
                f"{first} and {other} are {'unrelated' if cosine < STRANGERS else 'hardly related'} by their weights "
                f"(cosine {cosine:.3f}): a merge of networks that were trained apart computes little of either; merge "
                "networks tuned from one ancestor, or distil them into one"
            )
    return lines
