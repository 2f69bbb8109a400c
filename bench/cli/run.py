"""``geobench-run``: plan the runs, carry out those that are not stored, and write the report."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from bench.catalogue import suites as suite_catalogue
from bench.cli.command import run_command
from bench.cli.options import RUN
from bench.config import RunConfig, Study, read_words, run_configs, validate
from bench.core import lookup
from bench.core.errors import BenchError
from bench.core.wording import os_error_sentence
from bench.executors.contract.job import FOLDER
from bench.foundry.contract.recipe import Recipe
from bench.runs.provenance import environment
from bench.runs.session import resolve_device
from bench.sweeps.console import console, print_line
from bench.sweeps.fault_text import show_faults
from bench.sweeps.listings import print_board
from bench.sweeps.sweep import Sweep, sweep


def run() -> None:
    """``geobench-run``."""
    run_command(RUN, _run)


def _run(words: list[str], flags: set[str]) -> int:
    study = _named_study(words)
    if study and study.recipe:
        return _judged(study, words, dry="--dry" in flags)
    given = study.read(words) if study else words
    configs = run_configs(
        given, lookup.names("bench.protocols"), suite_catalogue.expand, _study, lookup.names("bench.executors")
    )
    out, dry = console(), "--dry" in flags
    code = 0
    for config in configs:
        for note in study.notes(config) if study else ():
            print_line(out, note)
        if len(configs) > 1:
            print_line(out, (f"{config.suite} ".ljust(out.width, "-"), "bold"))
        try:
            code = max(code, _one(config, out, dry=dry, watch="--watch" in flags))
        except (BenchError, OSError) as error:
            if len(configs) == 1 or isinstance(error, BrokenPipeError):
                raise
            # The other suites continue; the exit code counts this one as failed.
            text = os_error_sentence(error) if isinstance(error, OSError) else str(error)
            print_line(out, (f"{config.suite}: {text}", "red"))
            code = 0 if dry and isinstance(error, BenchError) else 1
    return code


def _named_study(words: list[str]) -> Study | None:
    """Return the study that words name, or None."""
    name = next((word.partition("=")[2] for word in words if word.startswith("study=")), "")
    return lookup.noun("bench.studies", name, Study) if name else None


def _study(name: str, suite: str) -> Mapping[str, object]:
    """Return the words that a study sets for a suite."""
    study = lookup.noun("bench.studies", name, Study)
    return study.demo if suite and suite_catalogue.load(suite).generated else study.words


def _judged(study: Study, words: list[str], *, dry: bool) -> int:
    """Carry out a study that a recipe of the foundry carries out, and write its report; return the exit code."""
    recipe = lookup.noun("bench.foundry", study.recipe, Recipe)
    shared = ("data", "results", "device")
    values = read_words(words, [*recipe.settings.model_fields, *shared, "study"])
    suite = str(values.get("suite", ""))
    given = study.demo if suite and suite_catalogue.load(suite).generated else study.words
    own = {key: value for key, value in values.items() if key in recipe.settings.model_fields}
    settings = validate(recipe.settings, {**given, **own}, where=f" of study {values['study']}")
    options = validate(RunConfig, {key: values[key] for key in (*shared, "suite") if key in values})
    out = console()
    if dry:
        for key, value in settings.model_dump(mode="json").items():
            print_line(out, f"{key}={value}")
        return 0
    folder = recipe.run(
        settings,
        data=options.data,
        out=options.results,
        device=resolve_device(options.device),
        progress=lambda text: print_line(out, text),
        environment=environment(),
    )
    from analysis.report.generation import write_report

    path = write_report(folder)
    print_line(out, path.read_text())
    print_line(out, f"wrote {path}")
    return 0


def _one(config: RunConfig, out: Console, *, dry: bool, watch: bool) -> int:
    """Run one suite; return the exit code."""
    if config.devices > 1 and not dry and not watch:
        from bench.finetuning import distributed

        config = config.model_copy(update={"device": distributed.launch(config.devices, config.device)})
        if distributed.rank():
            sweep(config, console(quiet=True))
            return 0
    done = sweep(config, out, dry=dry, watch=watch)
    if dry or watch:
        return 0
    if done.unfinished:
        logs = done.request.config.results / done.request.suite.name / FOLDER
        text = f"{len(done.unfinished)} of {len(done.plan.runs)} runs were not carried out"
        print_line(out, (text, "red"), f": every worker has ended, see the logs in {logs}; run again to go on")
        if not done.request.store.digests(done.request.suite.name):
            return 1
    print_report(done, out)
    show_faults(out, done.request.store.faults(done.request.suite.name))
    if done.failed:
        print_line(
            out, (f"{len(done.failed)} of {len(done.plan.runs)} runs failed", "red"), "; run again to retry them"
        )
    return 1 if done.failed or done.unfinished else 0


def print_report(done: Sweep, out: Console) -> None:
    """Write the report of a finished sweep and print its table."""
    from analysis.report.boards import terminal_table
    from analysis.report.statistics_text import DRIFT
    from analysis.report.write import build, put

    suite, results = done.request.suite, done.request.config.results
    report = build(done.request.store, suite.name)
    paths = put(report, results)
    board = report.tables.leaderboard
    models = {run.entry.name for run in done.plan.runs}
    table = terminal_table(board, models=models, title=f"{suite.name}: {suite.title}")
    if table.row_count:
        print_board(out, table)
    if any(run.key.protocol == "drift" for run in done.plan.runs):
        for section in report.contents.sections:
            for sentence in section.sentences if section.heading == DRIFT else ():
                print_line(out, sentence)
    if suite.generated:
        print_line(out, ("generated data", "bold yellow"), ": these scores say nothing about satellite images")
    folder = results / suite.name
    print_line(out, f"{len(paths)} files in {folder}; {folder / 'leaderboard.html'} opens in a browser")
