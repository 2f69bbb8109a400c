"""``geobench-run`` and its sisters: parse -> plan -> run -> report. Exit 0 all done, 1 some failed, 2 bad request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench import __version__, lookup, registry
from bench.config import RunConfig, read_words, run_config
from bench.console import RATES, LiveWatcher, listing, show_plan
from bench.core import ModelEntry, Suite, Task
from bench.errors import BadSetting, BenchError, MissingData, UnknownName
from bench.help import HELP, completion
from bench.plan import Plan, passes, select_bands
from bench.plan import make as make_plan
from bench.store import FeatureCache, Store, default_cache
from bench.weights import Shelf

if TYPE_CHECKING:
    import pandas as pd

FLAGS = ("--dry", "--json", "--help", "-h", "--version", "--verbose")


def load_suite(name: str) -> Suite:
    """Return a suite by name.

    Raises:
        UnknownName: lists the suites there are.
    """
    suite: Suite = lookup.module("suites", name, kind="suite").SUITE
    return suite


@dataclass
class Request:
    """A configuration with everything it names looked up."""

    config: RunConfig
    suite: Suite
    entries: list[ModelEntry]
    explicit: bool
    protocols: dict[str, ModuleType]
    store: Store
    cache: FeatureCache
    shelf: Shelf


def resolve(config: RunConfig) -> Request:
    """Return a configuration's suite, models, protocols and places.

    Raises:
        UnknownName: any of them does not exist.
    """
    suite = load_suite(config.suite)
    protocols = {name: lookup.module("bench.protocols", name, kind="protocol") for name in config.protocols}
    entries, explicit = registry.select(config.models)
    cache = config.cache or default_cache()
    return Request(
        config=config,
        suite=suite,
        entries=entries,
        explicit=explicit,
        protocols=protocols,
        store=Store(config.results),
        cache=FeatureCache(cache),
        shelf=Shelf(folder=config.weights, cache=cache, download=config.download),
    )


def _data(request: Request, *, fetch_it: bool) -> Any:
    """Return the suite's data, opened as far as ids go; fetched if missing and allowed."""
    from bench.download import fetch
    from bench.run import Data

    data = Data(suite=request.suite, root=request.config.data)
    bands = select_bands(request.suite, request.config.bands)
    try:
        data.split(request.suite.tasks[0], "train", bands)
    except MissingData as error:
        if not (fetch_it and request.config.download and request.suite.download):
            raise
        Console(stderr=True).print(f"[dim]{error}\nfetching {request.suite.url or request.suite.name} ...[/]")
        try:
            request.suite.download(request.config.data, fetch)
        except MissingData as second:
            raise MissingData(f"{error}\nand it cannot be fetched: {second}") from None
    return data


def _plan(request: Request, data: Any, *, fetch_weights: bool) -> tuple[Plan, int, str]:
    """Return the plan, the number of images, and what is missing."""
    bands = select_bands(request.suite, request.config.bands)
    missing: list[str] = []
    hashes: dict[str, str] = {}

    def split_hash(task: Task) -> str:
        if task.name not in hashes:
            try:
                hashes[task.name] = data.split_hash(task, bands) if data else "no data"
            except MissingData as error:
                if fetch_weights:
                    raise
                missing.append(str(error))
                hashes[task.name] = "no data"
        return hashes[task.name]

    def weights(entry: ModelEntry) -> str:
        if request.shelf.state(entry) == "downloadable":
            if not fetch_weights:
                return f"to be fetched from {entry.weights.url if entry.weights else ''}"
            request.shelf.find(entry)
        return request.shelf.digest(entry)

    plan = make_plan(
        request.config,
        request.suite,
        request.entries,
        request.protocols,
        explicit=request.explicit,
        split_hash=split_hash,
        weights=weights,
    )
    images = sum(request.suite.splits.values())
    if data and not missing and plan.runs:
        task = plan.runs[0].task
        names = ("train", "val", *data.test_names(task, bands))
        images = sum(len(data.split(task, name, bands)) for name in names)
    return plan, images, "; ".join(dict.fromkeys(missing))


def _show(request: Request, plan: Plan, images: int, note: str, console: Console) -> dict[str, str]:
    stored: dict[str, str] = {}
    rates = []
    for run in plan.runs:
        try:
            record = request.store.get(run.key)
        except MissingData:
            continue  # a damaged record is made again
        if record:
            stored[run.key.digest] = record.status
            if record.cost.get("passes") and record.cost.get("extraction_seconds"):
                work = sum(passes(request.suite, [run], int(record.cost["passes"])).values())
                rates.append(work / record.cost["extraction_seconds"])
    kind = request.config.device.partition(":")[0].replace("auto", "cpu")
    rate = sorted(rates)[len(rates) // 2] if rates else RATES[kind]
    todo = [run for run in plan.runs if stored.get(run.key.digest) != "ok"]
    show_plan(console, plan, stored, costs=passes(request.suite, todo, images), rate=rate, images=images, note=note)
    return stored


def run_benchmark(config: RunConfig, *, dry: bool = False, console: Console | None = None) -> int:
    """Plan, run and report one configuration; return the exit code.

    Raises:
        BenchError: a bad request.
    """
    console = console or Console()
    request = resolve(config)
    if request.suite.generated:
        console.print(f"[bold yellow]{request.suite.name}: generated data[/], not satellite images")
    note = ""
    try:
        data = _data(request, fetch_it=not dry)
    except MissingData as error:
        if not dry:
            raise
        data, note = None, str(error)
    plan, images, missing = _plan(request, data, fetch_weights=not dry)
    stored = _show(request, plan, images, note or missing, console)
    if dry:
        return 0
    if not plan.runs:
        reasons = "; ".join(dict.fromkeys(refusal.reason for refusal in plan.refused)) or "no model is available"
        raise BadSetting(f"nothing to run on {request.suite.name}: {reasons}")
    failed = _execute(request, plan, data, stored, console)
    _report(request, plan, console)
    if failed:
        console.print(f"[red]{len(failed)} of {len(plan.runs)} runs failed[/]; run again to retry them:")
        for name, problem in list(failed.items())[:20]:
            console.print(f"  {name}: {problem}", markup=False)
    return 1 if failed else 0


def _execute(request: Request, plan: Plan, data: Any, stored: Mapping[str, str], console: Console) -> dict[str, str]:
    """Carry out what is not stored; return the failures by run."""
    todo = [run for run in plan.runs if stored.get(run.key.digest) != "ok"]
    if request.config.retry is False:
        todo = [run for run in todo if run.key.digest not in stored]
    if not todo:
        return {}
    from bench.run import Session, execute, resolve_device

    watcher = LiveWatcher(console, len(todo))
    session = Session(
        config=request.config,
        data=data,
        store=request.store,
        cache=request.cache,
        shelf=request.shelf,
        device=resolve_device(request.config.device),
        watcher=watcher,
    )
    failed = {}
    part = Plan(runs=tuple(todo), refused=(), unavailable={}, bands=plan.bands)
    with watcher.progress:
        for run, record, _ in execute(part, session):
            if record.status == "failed":
                key = run.key
                name = f"{key.model} {key.task} {key.protocol} fraction {key.fraction:g} subset {key.subset}"
                failed[f"{name} seed {key.seed}"] = record.error
    for finding in session.identical():
        console.print(f"[red]{finding.about}[/] {finding.text}")
    return failed


def _report(request: Request, plan: Plan, console: Console) -> None:
    from analysis.report import terminal_tables, write_report

    paths = write_report(
        request.store,
        request.config.results,
        request.suite.name,
        unavailable=plan.unavailable,
        refused=[(r.model, r.task, r.protocol, r.reason) for r in plan.refused],
    )
    models, tasks = {run.entry.name for run in plan.runs}, {run.task.name for run in plan.runs}
    for table in terminal_tables(request.store, request.suite.name, models=models, tasks=tasks):
        console.print(table)
    if request.suite.generated:
        console.print("[bold yellow]generated data[/]: these scores say nothing about satellite images")
    folder = request.config.results / request.suite.name
    console.print(f"{len(paths)} files under {folder}: {folder / 'leaderboard.html'} opens in a browser")


def frame(config: RunConfig) -> pd.DataFrame:
    """Run a configuration and return its leaderboard as a DataFrame; for notebooks.

    Figures and tables are written below ``config.results`` as by the command.

    Example:
        >>> from bench.cli import RunConfig, frame
        >>> board = frame(RunConfig(suite="demo", models=("tiny_*", "image_stats")))  # doctest: +SKIP
    """
    from analysis.table import tables

    run_benchmark(config, console=Console(quiet=True))
    return tables(Store(config.results), config.suite).leaderboard


def _main(name: str, body: Callable[[list[str], set[str]], int]) -> None:
    """Run a command: flags apart from words, errors without a traceback, exit with its code."""
    arguments = sys.argv[1:]
    flags = {word for word in arguments if word in FLAGS}
    words = [word for word in arguments if word not in FLAGS]
    try:
        if words and words[0] in ("--completion", "completion"):
            sys.stdout.write(completion(words[1] if len(words) > 1 else "bash"))
            code = 0
        elif flags & {"--help", "-h"}:
            sys.stdout.write(HELP[name])
            code = 0
        elif "--version" in flags:
            sys.stdout.write(f"{name} {__version__}\n")
            code = 0
        else:
            unknown = next((word for word in words if word.startswith("-")), None)
            if unknown:
                raise UnknownName("flag", unknown, FLAGS)
            code = body(words, flags)
    except BenchError as error:
        Console(stderr=True, soft_wrap=True).print(f"{name}: {error}", markup=False, style="red", highlight=False)
        code = 2
    except KeyboardInterrupt:
        Console(stderr=True).print(f"\n{name}: stopped; what is done is stored, the same command goes on from there")
        code = 130
    except BrokenPipeError:
        code = 0
    sys.exit(code)


def run() -> None:
    """``geobench-run``."""

    def body(words: list[str], flags: set[str]) -> int:
        return run_benchmark(run_config(words, lookup.names("bench.protocols")), dry="--dry" in flags)

    _main("geobench-run", body)


def list_() -> None:
    """``geobench-list``."""
    from bench.listing import LISTINGS

    def body(words: list[str], flags: set[str]) -> int:
        what = [word for word in words if "=" not in word]
        options = read_words([word for word in words if "=" in word], ("weights", "cache", "model", "suite"))
        if not what and (options.keys() & {"model", "suite"}):
            what = ["models" if "model" in options else "suites"]
        for one in what or ["suites", "models", "protocols"]:
            if one not in LISTINGS:
                raise UnknownName("listing", one, LISTINGS)
            listing(LISTINGS[one](options), as_json="--json" in flags, title=one)
        return 0

    _main("geobench-list", body)


def report() -> None:
    """``geobench-report``: tables and figures again, from records alone."""

    def body(words: list[str], flags: set[str]) -> int:
        from analysis.report import write_index, write_report

        options = read_words(words, ("suite", "results"))
        results = Path(str(options.get("results", "results")))
        store = Store(results)
        suites = _listed(options.get("suite")) or store.suites()
        unknown = [name for name in suites if name not in store.suites()]
        if unknown or not suites:
            raise UnknownName("suite with records", unknown[0] if unknown else str(results), store.suites())
        paths = [path for name in suites for path in write_report(store, results, name)]
        paths.append(write_index(store, results))
        listing([{"name": str(path), "bytes": path.stat().st_size} for path in paths], as_json="--json" in flags)
        return 0

    _main("geobench-report", body)


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def cache() -> None:
    """``geobench-cache ls|verify|gc``."""

    def body(words: list[str], flags: set[str]) -> int:
        actions = [word for word in words if "=" not in word] or ["ls"]
        options = read_words([word for word in words if "=" in word], ("cache", "keep"))
        store = FeatureCache(Path(str(options["cache"])) if "cache" in options else default_cache())
        if actions[0] not in ("ls", "verify", "gc") or len(actions) > 1:
            raise UnknownName("cache action", " ".join(actions), ("ls", "verify", "gc"))
        if actions[0] == "gc":
            keep = options.get("keep")
            removed = store.gc(keep_bytes=None if keep is None else _bytes(str(keep)))
            listing([{"name": name, "state": "removed"} for name in removed], as_json="--json" in flags)
            return 0
        rows = store.listing(verify=actions[0] == "verify")
        listing(rows, as_json="--json" in flags, title=f"{store.root}")
        return 1 if actions[0] == "verify" and any(row["state"] not in ("ok", "partial") for row in rows) else 0

    _main("geobench-cache", body)


def _bytes(text: str) -> int:
    units = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    number = text.upper().removesuffix("B")
    try:
        return int(float(number.rstrip("KMGT")) * units[number[-1:] if number[-1:] in units else ""])
    except ValueError:
        raise BadSetting(f"keep={text}: a size reads 500MB or 20GB") from None


def doctor() -> None:
    """``geobench-doctor``: the input contract of each pair, side by side with what is really there."""

    def body(words: list[str], flags: set[str]) -> int:
        from bench.checkup import checkup

        request = resolve(run_config(words, lookup.names("bench.protocols")))
        rows = checkup(request.suite, request.entries, request.config, request.shelf, request.cache)
        listing(rows, as_json="--json" in flags, title=f"{request.suite.name}: {request.suite.title}")
        return 1 if any(row["state"] == "error" for row in rows) else 0

    _main("geobench-doctor", body)


def make() -> None:
    """``geobench-make recipe=... ``: train an entry by a recipe of the foundry."""

    def body(words: list[str], flags: set[str]) -> int:
        from bench.config import validate

        recipes = lookup.names("bench.foundry")
        name = next((word.partition("=")[2] for word in words if word.startswith("recipe=")), "")
        module = lookup.module("bench.foundry", name, kind="recipe") if name else None
        if module is None:
            raise UnknownName("recipe", name, recipes, "Write recipe=pretrain")
        known = [*module.Settings.model_fields, "recipe", "data", "out", "device"]
        options = read_words(words, known)
        own: dict[str, Any] = {key: value for key, value in options.items() if key in module.Settings.model_fields}
        console = Console()
        path = module.run(
            validate(module.Settings, own, where=f" of recipe {name}"),
            data=Path(str(options.get("data", "data"))),
            out=Path(str(options.get("out", "weights"))),
            device=str(options.get("device", "cpu")),
            progress=lambda text: console.print(text, highlight=False),
        )
        console.print(f"wrote {path}")
        return 0

    _main("geobench-make", body)
