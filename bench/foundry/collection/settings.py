"""Settings of the recipe that collects models."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bench.config import Settings


class CollectSettings(Settings):
    """Where models are taken from.

    Attributes:
        from_: ``registry`` (every model of the registry whose weights are at hand), folders of weights or of entries,
            files of weights, and text files with one reference ``owner/name[@revision][:file]`` of the Hugging Face hub
            per line, whose files are in the local cache.
        models: of the registry, names and globs as in ``models=`` of ``geobench-run``.
        weights: folder looked in first for weights of the registry.
        draws: random zoos that the spectra are compared with.
        seed: of those draws.
    """

    from_: tuple[str, ...] = Field(alias="from", min_length=1)
    models: tuple[str, ...] = ("all",)
    weights: Path | None = None
    draws: int = Field(200, ge=20, le=10_000)
    seed: int = Field(0, ge=0)
