"""Reading the YAML file that ``config=`` names, which is not trusted: size, depth and expansion are bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import BadSetting

MOST_BYTES = 100_000
MOST_NODES = 10_000  # keys and values, those that anchors repeat counted each time
DEEPEST = 12
MOST_INTERPOLATIONS = 16  # of one leading to the next, each can triple the text
INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
TAG = "tag:yaml.org,2002:"
MERGE, NULL = f"{TAG}merge", f"{TAG}null"
PLAIN = ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "value")


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file as mappings, lists, text and None; numbers stay text, as in words.

    ``${key}`` stands for the value of another key of the file, ``${oc.env:NAME}`` for an environment variable.

    Raises:
        BadSetting: the file cannot be read, is no YAML mapping, gives a key twice, or grows beyond bounds.
    """
    text = _text(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = _Reader(path).value(root, 0) if root is not None else {}
    except yaml.YAMLError as error:
        raise BadSetting(f"config={path} is not YAML: {error}") from None
    except RecursionError:
        raise BadSetting(f"config={path} is nested deeper than {DEEPEST} levels; words have one or two") from None
    if not isinstance(content, dict):
        raise BadSetting(f"config={path} holds no mapping; it must map keys to values, as in suite: demo")
    return content


def _text(path: Path) -> str:
    """Return the text of a file that may be a pipe, of which no more than `MOST_BYTES` are read."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except IsADirectoryError:
        raise BadSetting(f"config={path} is a folder; name the YAML file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadSetting(f"config={path} cannot be read: {reason}") from None
    if len(content) > MOST_BYTES:
        raise BadSetting(f"config={path} has more than {MOST_BYTES:,} bytes; a file of words has a few hundred")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSetting(f"config={path} is no text in UTF-8: byte {error.start} cannot be read") from None


class _Reader:
    """Turns YAML nodes into values, counting them."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0

    def value(self, node: yaml.Node, depth: int) -> Any:
        """Return the value of a node that lies `depth` levels below the root."""
        self.count += 1
        if self.count > MOST_NODES:
            raise BadSetting(f"config={self.path} grows to more than {MOST_NODES:,} values by its anchors")
        if depth > DEEPEST:
            raise BadSetting(f"config={self.path} is nested deeper than {DEEPEST} levels, or an anchor holds itself")
        line = node.start_mark.line + 1
        if node.tag.removeprefix(TAG) not in PLAIN:
            raise BadSetting(f"config={self.path}, line {line}: the tag {node.tag.removeprefix(TAG)!r} is not read")
        if isinstance(node, yaml.ScalarNode):
            return None if node.tag == NULL else node.value
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        assert isinstance(node, yaml.MappingNode)
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadSetting(f"config={self.path}, line {line}: a key must be a name")
            if key.tag == MERGE:
                parts = self.value(item, depth + 1)
                for part in parts if isinstance(parts, list) else [parts]:
                    merged = {**(part if isinstance(part, dict) else {}), **merged}
            elif key.value in own:
                raise BadSetting(f"config={self.path}, line {line}: {key.value} is given twice")
            else:
                own[key.value] = self.value(item, depth + 1)
        return {**merged, **own}


def resolved(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with their interpolations replaced.

    Raises:
        BadSetting: one leads nowhere, or in a circle.
    """
    texts = [text for text in _texts(values) if "${" in text]
    if not texts:
        return values
    count = sum(len(INTERPOLATION.findall(text)) for text in texts)
    if count > MOST_INTERPOLATIONS:
        raise BadSetting(f"{count} interpolations ${{...}}; at most {MOST_INTERPOLATIONS} are read")
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        plain = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0]
        raise BadSetting(
            f"the configuration cannot be resolved: {reason}; text with ${{ that is meant as it stands is put in quotes"
        ) from None
    except RecursionError:
        raise BadSetting("the configuration cannot be resolved: its interpolations lead in a circle") from None
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def literal(text: str) -> str:
    """Return text with interpolations escaped, so that `resolved` returns the original text."""
    return re.sub(r"(\\*)\$\{", lambda match: rf"{match[1] * 2}\${{", text)
