"""Check that a stored result belongs to the present data and files.

A run's key names its samples by their ids. What the samples hold, and the user's own files of suites and models, are
recorded with it as fingerprints: a record or a set of features whose fingerprints differ is made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.catalogue.models import user_file as model_file
from bench.catalogue.suites import user_file as suite_file
from bench.core import Record, Suite
from bench.input.content import Contents
from bench.input.splits import LEARNING
from bench.preflight.targets import survey
from bench.runs.plan import Run

WORKERS = 2  # default number of threads that read labels


def user_files(run: Run, suite: Suite) -> dict[str, str]:
    """Return the SHA-256 of the user's own files that a run's suite and model come from, where they do."""
    files = {"suite": suite_file(suite), "model": model_file(run.entry)}
    return {name: content for name, content in files.items() if content}


def data_facts(run: Run, contents: Contents, labels: Mapping[str, str]) -> dict[str, object]:
    """Return the fingerprints that a record holds.

    ``data``: of each split the images and targets looked at, see `bench.input.content`; ``labels``, of dense tasks: of
    each split all targets; ``user_files``: see `user_files`.

    Args:
        run: the run.
        contents: the suite's fingerprints.
        labels: split -> hash of all its targets.
    """
    names = (*LEARNING, *contents.data.test_names(run.task, run.recipe.reads))
    facts: dict[str, object] = {
        "data": {name: contents.fingerprint(run.task, name, run.recipe.reads) for name in names},
    }
    if run.task.dense and labels:
        facts["labels"] = dict(labels)
    if files := user_files(run, contents.data.suite):
        facts["user_files"] = files
    return facts


def fingerprinted(record: Record) -> bool:
    """Return whether a record identifies its data; records of version 0.1 do not."""
    return bool(record.facts.get("data"))


def changed_since(record: Record, run: Run, contents: Contents) -> str:
    """Return what has changed since a record was made, in words, or ``""``.

    What a record does not state, or what cannot be read now, is taken as unchanged.

    Args:
        record: of the run's key.
        run: the run.
        contents: the suite's fingerprints now.
    """
    files = user_files(run, contents.data.suite)
    if fingerprinted(record) and record.facts.get("user_files", {}) != files:
        return "the user's file of the suite or model changed since"
    data, labels = record.facts.get("data", {}), record.facts.get("labels", {})
    try:
        changed = [
            name
            for name in (*LEARNING, *contents.data.test_names(run.task, run.recipe.reads))
            if (name in data and data[name] != contents.fingerprint(run.task, name, run.recipe.reads))
            or (name in labels and labels[name] != _labels_now(run, contents, name, labels[name]))
        ]
    except Exception:  # a reader's own errors are named by the runs that need the data
        return ""
    return f"the data of {', '.join(changed)} changed since" if changed else ""


def still_true(
    records: Mapping[str, Record], runs: Sequence[Run], contents: Contents
) -> tuple[dict[str, Record], list[str]]:
    """Return the records, by digest, that belong to the present data and files, and a note on all others.

    Args:
        records: digest -> stored record.
        runs: those that the records may belong to.
        contents: the suite's fingerprints now.
    """
    kept, outdated, unknown = {}, list[str](), 0
    for run in runs:
        record = records.get(run.key.digest)
        if record is None:
            continue
        if reason := changed_since(record, run, contents):
            outdated.append(reason)
            continue
        kept[run.key.digest] = record
        unknown += not fingerprinted(record)
    notes = [f"{outdated.count(reason)} stored runs are run again: {reason}" for reason in dict.fromkeys(outdated)]
    if unknown:
        notes.append(
            f"{unknown} stored runs state no fingerprint of their data (version 0.1): they are taken as they are"
        )
    return kept, notes


def _labels_now(run: Run, contents: Contents, name: str, stored: str) -> str:
    """Return the hash of all targets of a split; the stored one where finding it would cost a pass over the data.

    For a suite without its own folder there is no cheap way to detect that a file changed.
    """
    if contents.survey(run.task, name) is None and not contents.stamped:
        return stored
    band = run.recipe.reads[0]
    return survey(contents, run.task, name, band, started=lambda split, count: None, workers=WORKERS).hash
