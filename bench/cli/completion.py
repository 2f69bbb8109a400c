"""Completion scripts for bash, zsh and fish: words, names, settings of protocols, and paths. Imports no torch.

A script holds all names known when it is written; with ``eval "$(geobench-run completion bash)"`` in a start-up file
it is written again for every shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Literal, get_args, get_origin

from bench.catalogue import models as model_catalogue
from bench.catalogue import suites as suite_catalogue
from bench.cli.options import COMMANDS, COMMON_FLAGS, Command
from bench.config import Settings, fields_by_word
from bench.core import lookup
from bench.core.errors import UnknownName
from bench.executors.contract.executor import Executor
from bench.finetuning.taps import TAPS
from bench.foundry.contract.recipe import Recipe
from bench.protocols.contract.protocol import Protocol

FILES = "FILES"
"""Value that stands for paths of files, where a key takes no fixed names."""
SAFE = re.compile(r"[\w.:*+-]+")  # names without characters that have a meaning in a shell
NOUNS: dict[str, type[Protocol] | type[Recipe] | type[Executor]] = {
    "bench.protocols": Protocol,
    "bench.executors": Executor,
    "bench.foundry": Recipe,
}
SPLITS = ("train", "val", "test")
LAYERS = ("embedding", "block_*", "norm", "last")
TUNING = ("frozen", "lora", "full", "head-then-full", "scratch")
DEVICES = ("auto", "cpu", "cuda", "mps")
SHELLS = ("bash", "zsh", "fish")


def values() -> dict[str, list[str]]:
    """Return key -> the names that it accepts, `FILES` for paths. Keys that accept any value are left out."""
    entries = model_catalogue.entries()
    suites = [suite_catalogue.load(name) for name in suite_catalogue.names()]
    models = [name for name, entry in entries.items() if entry.origin != "random"]
    categories = [f"origin:{entry.origin}" for entry in entries.values()]
    categories += [f"objective:{entry.objective}" for entry in entries.values()]
    choices_of: dict[str, Iterable[str]] = {
        "suite": [*(suite.name for suite in suites), *suite_catalogue.groups()],
        "models": ["all", *entries, *dict.fromkeys(categories), "path:", "embeddings:"],
        "model": models,
        "tasks": dict.fromkeys(task.name for suite in suites for task in suite.tasks),
        "bands": dict.fromkeys(band.sensor for suite in suites for band in suite.bands),
        "protocols": lookup.names("bench.protocols"),
        "executor": lookup.names("bench.executors"),
        "study": lookup.names("bench.studies"),
        "recipe": lookup.names("bench.foundry"),
        "layers": LAYERS,
        "split": SPLITS,
        "device": DEVICES,
        "compare": ["published"],
        "config": [FILES],
    }
    for command in COMMANDS.values():
        for name, choices in _choices(command.options, "").items():
            choices_of.setdefault(name, choices)
        for prefix, settings in _owned(command):
            for name, choices in _choices(settings, prefix).items():
                choices_of.setdefault(name, choices)  # a word of a command precedes a setting of the same name
    return {key: [name for name in names if SAFE.fullmatch(name)] for key, names in choices_of.items()}


def _owned(command: Command) -> Iterator[tuple[str, type[Settings]]]:
    """Yield the settings of nouns that a command takes, with what stands before their names."""
    for package in command.settings:
        for name in lookup.names(package):
            prefix = "" if package == "bench.foundry" else f"{name}."
            yield prefix, lookup.noun(package, name, NOUNS[package]).settings


def _choices(settings: type[Settings], prefix: str) -> dict[str, Iterable[str]]:
    """Return key -> values of the fields of settings whose values are known."""
    named: Mapping[str, Iterable[str]] = {
        **{"decoders": lookup.names("bench.decoders"), "taps": TAPS, "tuning": TUNING, "split": SPLITS},
        "suite": suite_catalogue.names(),
    }
    choices_of: dict[str, Iterable[str]] = {}
    for name, field in fields_by_word(settings).items():
        if isinstance(field.default, Settings):
            choices_of |= _choices(type(field.default), f"{prefix}{name}.")
        elif choices := (named.get(name) or _of_type(field.annotation)):
            choices_of[f"{prefix}{name}"] = choices
    return choices_of


def _of_type(kind: object) -> list[str]:
    parts = [part for part in get_args(kind) if part not in (NoneType, Ellipsis)]
    if get_origin(kind) is Literal:
        return [str(part) for part in parts if part != ""]
    if kind is bool:
        return ["true", "false"]
    if kind is Path:
        return [FILES]
    return [choice for part in parts for choice in _of_type(part)]


def keys(command: Command) -> list[str]:
    """Return the beginnings of all words of a command, e.g. ``suite=``, ``--dry``, ``probe.c=``, ``verify``."""
    words = [f"{name}=" for name in command.words]
    for prefix, settings in _owned(command):
        words += [f"{prefix}{name}=" for name in _names(settings)]
    return [*command.actions, *dict.fromkeys(words), *command.flags, *COMMON_FLAGS, "completion"]


def _names(settings: type[Settings]) -> list[str]:
    names = []
    for name, field in fields_by_word(settings).items():
        nested = isinstance(field.default, Settings)
        names += [f"{name}.{inner}" for inner in _names(type(field.default))] if nested else [name]
    return names


def completion(shell: str) -> str:
    """Return a completion script.

    Args:
        shell: ``bash``, ``zsh`` or ``fish``.

    Raises:
        UnknownName: there is no completion for the shell.
    """
    writers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if shell not in writers:
        raise UnknownName("shell with completion", shell, writers)
    return writers[shell]({name: keys(command) for name, command in COMMANDS.items()}, values())


def _cases(words: Mapping[str, list[str]], line: str, indent: str) -> str:
    """Return the branches of a shell's ``case``; names with equal words share a branch."""
    grouped: dict[str, list[str]] = {}
    for name, names in words.items():
        grouped.setdefault(" ".join(names), []).append(name)
    return "".join(f"{indent}{'|'.join(names)}) {line.format(text)} ;;\n" for text, names in grouped.items())


def _bash(commands: Mapping[str, list[str]], known: Mapping[str, list[str]]) -> str:
    return f"""\
# Completion of the geobench commands for bash: eval "$(geobench-run completion bash)"
_geobench_keys() {{
  case "$1" in
{_cases(commands, 'echo "{}"', "    ")}  esac
}}
_geobench_values() {{
  case "$1" in
{_cases(known, 'echo "{}"', "    ")}  esac
}}
_geobench() {{
  local IFS=$' \\t\\n' quotes=$'"\\'' line token key item head names broken
  line="${{COMP_LINE:0:COMP_POINT}}"
  token="${{line##*[[:space:]]}}"
  token="${{token#[$quotes]}}"
  COMPREPLY=()
  if [[ "$token" != *=* ]]; then
    if [[ "${{COMP_WORDS[1]}}" == completion && $COMP_CWORD -gt 1 ]]; then names="{" ".join(SHELLS)}"
    else names="$(_geobench_keys "${{1##*/}}")"; fi
    COMPREPLY=( $(compgen -W "$names" -- "$token") )
    return
  fi
  key="${{token%%=*}}"
  item="${{token#*=}}"
  item="${{item##*[,[]}}"
  names="$(_geobench_values "$key")"
  case "$item" in
    path:*:*) item="${{item##*:}}"; names="$(_geobench_values model)" ;;
    path:*|embeddings:*) item="${{item#*:}}"; names="{FILES}" ;;
  esac
  head="${{token%"$item"}}"
  IFS=$'\\n'
  if [[ "$names" == "{FILES}" ]]; then COMPREPLY=( $(compgen -f -- "$item") )
  else COMPREPLY=( $(compgen -W "${{names// /$'\\n'}}" -- "$item") ); fi
  # What bash takes for the word begins after the last of its word breaks: the part before it stays as it is.
  broken=""
  if [[ "$COMP_WORDBREAKS" == *:* && "$token" == *:* ]]; then broken="${{token%"${{token##*:}}"}}"
  elif [[ "$COMP_WORDBREAKS" == *=* ]]; then broken="$key="; fi
  COMPREPLY=( "${{COMPREPLY[@]/#/$head}}" )
  COMPREPLY=( "${{COMPREPLY[@]#"$broken"}}" )
}}
complete -o nospace -F _geobench {" ".join(commands)}
"""


def _zsh(commands: Mapping[str, list[str]], known: Mapping[str, list[str]]) -> str:
    return f"""\
# Completion of the geobench commands for zsh: eval "$(geobench-run completion zsh)"
(( $+functions[compdef] )) || {{ autoload -U compinit && compinit -u }}
_geobench() {{
  local key names entries="{" ".join(known["model"])}"
  if [[ "$PREFIX" != *=* ]]; then
    if [[ "$words[2]" == completion && $CURRENT -gt 2 ]]; then names="{" ".join(SHELLS)}"; else
    case "${{words[1]:t}}" in
{_cases(commands, 'names="{}"', "      ")}    esac
    fi
    compadd -S '' -- ${{=names}}
    return
  fi
  key="${{PREFIX%%=*}}"
  compset -P '*='
  compset -P '*[,\\[]'
  case "$key" in
{_cases(known, 'names="{}"', "    ")}  esac
  if [[ "$PREFIX" == path:*:* ]]; then compset -P '*:*:'; names="$entries"
  elif [[ "$PREFIX" == (path|embeddings):* ]]; then compset -P '*:'; names="{FILES}"; fi
  if [[ "$names" == "{FILES}" ]]; then _files; else compadd -S '' -- ${{=names}}; fi
}}
compdef _geobench {" ".join(commands)}
"""


def _fish(commands: Mapping[str, list[str]], known: Mapping[str, list[str]]) -> str:
    def arms(words: Mapping[str, list[str]]) -> str:
        return "".join(
            f"        case {name}\n            string split ' ' -- '{' '.join(names)}'\n"
            for name, names in words.items()
        )

    return f"""\
# Completion of the geobench commands for fish: geobench-run completion fish | source
function __geobench_keys
    switch $argv[1]
{arms(commands)}    end
end
function __geobench_values
    switch $argv[1]
{arms(known)}    end
end
function __geobench
    set -l token (commandline -ct)
    set -l before (commandline -opc)
    if not string match -q -- '*=*' $token
        if test (count $before) -gt 1; and test $before[2] = completion
            printf '%s\\n' {" ".join(SHELLS)}
        else
            __geobench_keys (basename $before[1])
        end
        return
    end
    set -l key (string split -m 1 -f 1 = -- $token)
    set -l item (string replace -r '.*[=,\\[]' '' -- $token)
    set -l names (__geobench_values $key)
    if string match -qr '^path:.*:' -- $item
        set item (string replace -r '.*:' '' -- $item)
        set names (__geobench_values model)
    else if string match -qr '^(path|embeddings):' -- $item
        set item (string replace -r '^[a-z]+:' '' -- $item)
        set names {FILES}
    end
    set -l head (string sub -l (math (string length -- $token) - (string length -- $item)) -- $token)
    if test "$names" = {FILES}
        set names (string replace -r '\\t.*' '' -- (complete -C "__geobench_file $item"))
    end
    for name in $names
        printf '%s%s\\n' $head $name
    end
end
for name in {" ".join(commands)}
    complete -c $name -f -a '(__geobench)'
end
"""
