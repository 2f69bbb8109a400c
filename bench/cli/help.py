"""The text of ``--help``, from the descriptions of the words and flags that a command takes."""

from __future__ import annotations

import textwrap

from pydantic.fields import FieldInfo

from bench.cli.options import COMMON_FLAGS, Command

INDENT = 17
WIDEST = 120
WORDS = "Words (key=value; lists as [a,b] or a,b; * in names; text in quotes is taken as it stands):"


def help_text(command: Command, width: int = WIDEST) -> str:
    """Return the help of a command, broken into lines of at most `width` characters."""
    width = min(width, WIDEST)
    lines = [*textwrap.wrap(f"{command.name}: {command.summary}.", width), ""]
    typed = {f"  {command.name} {words}".rstrip(): what for words, what in command.examples.items()}
    column = max((len(text) for text, what in typed.items() if what), default=0) + 2
    for text, what in typed.items():
        beside = len(text) < column and column + len(what) <= width
        below = textwrap.wrap(what, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines += [f"{text:{column}}{what}".rstrip()] if beside else [text, *below]
    lines += ["", *textwrap.wrap(WORDS, width)]
    described = {
        name: _described(field) for name, field in command.options.model_fields.items() if name not in command.without
    }
    for name, text in (described | dict(command.more)).items():
        lines += _entry(f"  {name}=", text, width)
    lines += ["", "Flags:"]
    for name, text in (dict(command.flags) | COMMON_FLAGS).items():
        lines += _entry(f"  {name}", text, width)
    notes = [line for note in command.notes for line in textwrap.wrap(note, width, break_on_hyphens=False)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _entry(name: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        f"{name:{INDENT}}{text}", width, subsequent_indent=" " * INDENT, break_long_words=False, break_on_hyphens=False
    )


def _described(field: FieldInfo) -> str:
    default = _default(field)
    return (field.description or "") + (f" [{default}]" if default else "")


def _default(field: FieldInfo) -> str:
    """Return a field's default as it would be typed; ``""`` where there is none, or none that is a value."""
    value: object = field.default
    if field.is_required() or value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    return str(value)
