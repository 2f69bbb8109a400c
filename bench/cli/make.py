"""``geobench-make``: run a recipe of the foundry."""

from __future__ import annotations

from bench.cli.command import run_command
from bench.cli.options import MAKE, MakeOptions
from bench.config import Settings, fields_by_word, read_words, validate
from bench.core import lookup
from bench.core.errors import BadSetting, UnknownName
from bench.foundry.contract.recipe import Recipe
from bench.runs.session import resolve_device
from bench.sweeps.console import console, print_line


def make() -> None:
    """``geobench-make recipe=...``: train an entry by a recipe of the foundry."""
    run_command(MAKE, _make)


def _make(words: list[str], flags: set[str]) -> int:
    recipes = lookup.names("bench.foundry")
    name = next((word.partition("=")[2] for word in words if word.startswith("recipe=")), "")
    if not name:
        raise UnknownName("recipe", name, recipes, "Write recipe=pretrain")
    recipe = lookup.noun("bench.foundry", name, Recipe)
    fields = fields_by_word(recipe.settings)
    nested = [key for key, field in fields.items() if isinstance(field.default, Settings)]
    values = read_words(words, [*fields, *MAKE.words], nested)
    own = {key: value for key, value in values.items() if key in fields}
    shared = {key: value for key, value in values.items() if key in MakeOptions.model_fields}
    options, out = validate(MakeOptions, shared), console()
    settings = validate(recipe.settings, own, where=f" of recipe {name}")
    if "--dry" in flags:
        if recipe.describe is None:
            raise BadSetting(f"recipe={name} has no plan to show; --dry is for recipe=learn")
        print_line(out, recipe.describe(settings))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is reported before the training
    path = recipe.run(
        settings,
        data=options.data,
        out=options.out,
        device=resolve_device(options.device),
        progress=lambda text: print_line(out, text),
    )
    print_line(out, f"wrote {path}")
    return 0
