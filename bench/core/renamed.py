"""Old module names, handed on for one release with a deprecation warning.

Version 0.1 kept its modules flat. A user's file that imports one of them by its old name still works: the import gives
a module whose names are looked up where they are now. To be removed in version 0.3.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

RENAMED: dict[str, tuple[str, ...]] = {
    "bench.errors": ("bench.core.errors",),
    "bench.lookup": ("bench.core.lookup",),
    "bench.sensors": ("bench.core.sensors",),
    "bench.notebook": ("bench.api",),
    "bench.backbones": (
        "bench.networks.backbones",
        "bench.networks.vit",
        "bench.networks.pyramid",
        "bench.networks.blocks",
    ),
    "bench.checkpoints": ("bench.networks.checkpoints", "bench.networks.checkpoint_files"),
    "bench.masked_blocks": ("bench.networks.masked_blocks",),
    "bench.timm_networks": ("bench.networks.from_timm",),
    "bench.terratorch_networks": ("bench.networks.from_terratorch",),
    "bench.registry": ("bench.catalogue.models",),
    "bench.boxes": ("bench.metrics.boxes",),
    "bench.boundaries": ("bench.metrics.boundaries",),
    "bench.bands": ("bench.input.recipe",),
    "bench.prepare": ("bench.input.prepare", "bench.input.windows"),
    "bench.choice": ("bench.protocols.contract.selection",),
    "bench.labelled": ("bench.features.labelled", "bench.protocols.contract.context", "bench.finetuning.workbench"),
    "bench.decoders._contract": ("bench.decoders.parts.contract",),
    "bench.decoders._dense": ("bench.decoders.parts.dense",),
    "bench.decoders._norms": ("bench.decoders.parts.norms",),
    "bench.decoders._pooled": ("bench.decoders.parts.pooled",),
    "bench.decoders._pyramid": ("bench.decoders.parts.pyramid",),
    "analysis.geometry": ("analysis.similarity.dimensions",),
    "analysis.grams": ("analysis.similarity.grams",),
    "analysis.maps": ("analysis.similarity.cka_maps",),
    "analysis.resampling": ("analysis.similarity.resampling",),
    "analysis.streams": ("analysis.similarity.streaming",),
    "analysis.intervals": ("analysis.statistics.intervals", "analysis.statistics.additive_scores"),
    "analysis.ranking": ("analysis.statistics.ranking",),
    "analysis.variance": ("analysis.statistics.variance_components",),
    "suites._archives": ("suites.reading.archives",),
    "suites._classes": ("suites.reading.class_names",),
    "suites._layouts": ("suites.reading.layouts",),
    "suites._read": ("suites.reading",),
}
"""Old name -> the modules that hold its names now."""


class RenamedLoader(Loader):
    """Makes the stand-in of a renamed module."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the stand-in the names of the modules that took its place."""
        places = RENAMED[module.__name__]
        warnings.warn(
            f"{module.__name__} is now {' and '.join(places)}; the old name goes with version 0.3",
            DeprecationWarning,
            stacklevel=2,
        )

        def look_up(name: str) -> object:
            for place in places:
                moved = importlib.import_module(place)
                if hasattr(moved, name):
                    return getattr(moved, name)
            raise AttributeError(f"module {module.__name__!r} (now {', '.join(places)}) has no attribute {name!r}")

        module.__dict__["__getattr__"] = look_up


class RenamedFinder(MetaPathFinder):
    """Finds modules by the names they had in version 0.1."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a renamed module, None for all others."""
        return ModuleSpec(fullname, RenamedLoader()) if fullname in RENAMED else None


def install() -> None:
    """Make old module names importable; once is enough."""
    if not any(isinstance(finder, RenamedFinder) for finder in sys.meta_path):
        sys.meta_path.append(RenamedFinder())
