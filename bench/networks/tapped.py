"""TappedNetwork: the type of a torch network with the interface of `bench.core.Backbone`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from bench.core import Backbone, Images, Layer, Tap
from bench.core.errors import Incompatible


class TappedNetwork(nn.Module):
    """A torch module that is a backbone as well; a type for code that changes networks, not a base class.

    Attributes:
        layers: see `bench.core.Layer`.
        modules_map: block name -> canonical sub-module name -> path for ``get_submodule``.
    """

    layers: tuple[Layer, ...]
    modules_map: Mapping[str, Mapping[str, str]]

    def forward(
        self, images: Images, layers: Sequence[int], *, when: Tensor | None = None, where: Tensor | None = None
    ) -> list[Tap]:
        """Return one `Tap` per layer asked for; see `bench.core.Backbone`."""
        raise NotImplementedError


def tapped(backbone: Backbone | None) -> TappedNetwork:
    """Return a backbone as the torch module that it is.

    Raises:
        Incompatible: it is no torch module.
    """
    if isinstance(backbone, TappedNetwork):
        return backbone
    if not isinstance(backbone, nn.Module):
        raise Incompatible(f"{type(backbone).__name__} is no torch network; recipes change torch networks only")
    network: TappedNetwork = backbone  # type: ignore[assignment]
    return network
