"""``geobench-make``: run a recipe of the foundry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.cli.command import run_command
from bench.config import Settings, read_words, validate
from bench.core import lookup
from bench.core.errors import UnknownName
from bench.foundry.contract.recipe import Recipe
from bench.sweeps.console import console


def make() -> None:
    """``geobench-make recipe=... ``: train an entry by a recipe of the foundry."""

    def body(words: list[str], flags: set[str]) -> int:
        recipes = lookup.names("bench.foundry")
        name = next((word.partition("=")[2] for word in words if word.startswith("recipe=")), "")
        if not name:
            raise UnknownName("recipe", name, recipes, "Write recipe=pretrain")
        recipe = lookup.noun("bench.foundry", name, Recipe)
        fields = recipe.settings.model_fields
        known = [*fields, "recipe", "data", "out", "device"]
        nested = [key for key, field in fields.items() if isinstance(field.default, Settings)]
        options = read_words(words, known, nested)
        own: dict[str, Any] = {key: value for key, value in options.items() if key in fields}
        out = console()
        path = recipe.run(
            validate(recipe.settings, own, where=f" of recipe {name}"),
            data=Path(str(options.get("data", "data"))),
            out=Path(str(options.get("out", "weights"))),
            device=str(options.get("device", "cpu")),
            progress=lambda text: out.print(text, highlight=False),
        )
        out.print(f"wrote {path}")
        return 0

    run_command("geobench-make", body)
