"""Entries in the layout of a model hub: a folder with ``model.safetensors``, ``config.json`` and ``README.md``.

What is read comes from strangers. Weights are read from ``model.safetensors`` alone, nothing in a folder is run, no
path in it is followed, and shapes are held against the weights before a network is built of them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.catalogue import models as model_catalogue
from bench.catalogue.cards import CARD, NAME, WEIGHTS, Card, entry_of, read_card, write_entry
from bench.core.contents import head_of, kind_of
from bench.core.errors import BadSetting, BenchError, MissingData
from bench.foundry.sharing.model_card import LIBRARY, model_card
from bench.store import write_atomic

CONFIG, README = "config.json", "README.md"
FORMAT = 1
MOST_BYTES = 16 << 20  # of config.json
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
ATTRIBUTES = ("num_heads", "head_dim", "attn_dim", "scale")
"""Attributes of modules that a structure may set, see `bench.networks.reshaped.structure_of`."""


def export_entry(name: str, entries: tuple[Path, ...], out: Path) -> Path:
    """Write an entry in the layout of a hub and return the path of its weights, ``<out>/<name>/model.safetensors``.

    Args:
        name: of an entry that a recipe made.
        entries: folders with entries.
        out: the folder that the entry's folder goes below.

    Raises:
        BadSetting: no recipe made it, or `out` is the folder that the entry lies in.
        MissingData: its weights do not match its card.
    """
    chosen, _ = model_catalogue.select([name], entries)
    places = [folder / entry.name for entry in chosen for folder in entries if (folder / entry.name / CARD).is_file()]
    if len(chosen) != 1 or len(places) != 1:
        raise BadSetting(
            f"model={name} is no entry that a recipe left; export one of entries=DIR (geobench-list entries=DIR), and "
            "share a published model by its publisher's address"
        )
    place = places[0]
    if (out / chosen[0].name).resolve() == place.resolve():
        raise BadSetting(f"out={out} is where the entry lies; export into another folder")
    card, content = read_card(place / CARD), (place / WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise MissingData(f"{place / WEIGHTS} does not match the SHA-256 of its card; make the entry again")
    config = {
        "model_type": LIBRARY,
        "architectures": [card.base],
        "format": FORMAT,
        "card": card.model_dump(mode="json"),
    }
    target = out / card.name
    write_atomic(target / WEIGHTS, content)
    write_atomic(target / README, model_card(card).encode())
    write_atomic(target / CONFIG, (json.dumps(config, indent=1, sort_keys=True) + "\n").encode())
    return target / WEIGHTS


def import_entry(folder: Path, name: str, out: Path) -> Path:
    """Read a folder in the layout of a hub, check it, and leave it as an entry; return the path of its weights.

    Args:
        folder: with ``model.safetensors`` and ``config.json``.
        name: of the entry; that in ``config.json`` if ``""``.
        out: folder of entries.

    Raises:
        MissingData: a file is missing, is of another kind, or does not fit the others; the message names it.
        BadSetting: the name is taken.
        UnknownName: the base entry is unknown here.
    """
    _check_files(folder)
    card = _read_config(folder / CONFIG)
    weights = folder / WEIGHTS
    content = weights.read_bytes()
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise MissingData(
            f"{weights} does not match the SHA-256 in {CONFIG}: it is damaged or another file; fetch it again"
        )
    card = card.model_copy(update={"name": name or card.name})
    if not NAME.fullmatch(card.name):
        raise BadSetting(f"name={name} cannot name an entry: use letters, digits, dot, hyphen and underscore")
    known = model_catalogue.entries()
    if card.name in known or (out / card.name).exists():
        raise BadSetting(f"the name {card.name} is taken; give another with name=")
    _check_structure(card, folder)
    _check_network(card, weights)
    return write_entry(out, card, content)


def _check_files(folder: Path) -> None:
    """Refuse a folder that lacks a file, or holds weights that could run code."""
    if not folder.is_dir():
        raise BadSetting(f"folder={folder}: there is no such folder")
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES)
    if pickles:
        raise MissingData(
            f"{folder} holds {', '.join(pickles)}: pickled weights can run code when they are read; ask for {WEIGHTS}, "
            "or remove them if you trust the rest"
        )
    if missing := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise MissingData(
            f"{folder} lacks {' and '.join(missing)}; a shared entry has {WEIGHTS}, {CONFIG} and {README}"
        )
    kind = kind_of(head_of(folder / WEIGHTS))
    if kind != "safetensors":
        raise MissingData(f"{folder / WEIGHTS} is no safetensors file ({kind or 'unknown content'}); it is not read")


def _read_config(path: Path) -> Card:
    """Return the card in a ``config.json``, once it is sound."""
    if path.stat().st_size > MOST_BYTES:
        raise MissingData(f"{path} has {path.stat().st_size:,} bytes; a configuration has at most {MOST_BYTES:,}")
    try:
        config: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise MissingData(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict) or config.get("model_type") != LIBRARY:
        given = config.get("model_type") if isinstance(config, dict) else None
        raise MissingData(
            f"{path} describes no entry of geobench-run (model_type {given!r}); use weights of a known architecture "
            "with models=path:FILE:ENTRY"
        )
    if config.get("format") != FORMAT:
        raise MissingData(f"{path} has format {config.get('format')!r}; this version reads {FORMAT}")
    try:
        card = Card.model_validate(config.get("card"))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in ("card", *fault["loc"]))
        raise MissingData(f"{path}: {place}: {fault['msg']}") from error
    if not NAME.fullmatch(card.name):
        raise MissingData(f"{path}: card.name {card.name!r} is no name of an entry; paths in it are not followed")
    if not card.intact():
        raise MissingData(f"{path} does not match the checksum of its card: it was edited or damaged; fetch it again")
    return card


def _check_structure(card: Card, folder: Path) -> None:
    """Refuse shapes that the weights do not have, and attributes that no recipe sets, before anything is built."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:  # type: ignore[no-untyped-call]
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise MissingData(f"{folder / WEIGHTS} is a damaged safetensors file ({error}); fetch it again") from error
    for name, shape in card.shape.shapes.items():
        if shapes.get(name) != tuple(shape):
            raise MissingData(
                f"{folder / CONFIG}: shape of {name} is {tuple(shape)}, in {WEIGHTS} it is {shapes.get(name, 'absent')}"
            )
    unknown = [name for values in card.shape.attributes.values() for name in values if name not in ATTRIBUTES]
    if unknown:
        raise MissingData(f"{folder / CONFIG}: attribute {unknown[0]} of a module; known are {', '.join(ATTRIBUTES)}")


def _check_network(card: Card, weights: Path) -> None:
    """Refuse a card whose network the weights do not fill."""
    from bench.networks.tapped import tapped

    entry = entry_of(card, weights, model_catalogue.entries())
    try:
        network = tapped(entry.load(entry, weights, 0, entry.bands))
    except BenchError:
        raise
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise MissingData(f"no network can be built from {weights.with_name(CONFIG)}: {error}") from error
    count = sum(value.numel() for value in network.parameters())
    if count != card.parameters:
        raise MissingData(
            f"{weights.with_name(CONFIG)} states {card.parameters:,} parameters, the network has {count:,}"
        )
