"""``geobench-run`` and its sisters: parse -> plan -> run -> report. Exit 0 all done, 1 some failed, 2 bad request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import __version__, catalogue, lookup
from bench.config import RunConfig, read_words, run_config, run_configs, validate
from bench.console import console, listing
from bench.errors import BadSetting, BenchError, UnknownName
from bench.help import HELP, completion
from bench.store import FeatureCache, Store, default_cache
from bench.sweep import Request, Sweep, resolve, sweep

FLAGS = ("--dry", "--json", "--show", "--audit", "--help", "-h", "--version")


SHOW = ("data", "bands", "results", "split")  # words of geobench-list suite=NAME --show


def _report(done: Sweep, out: Console) -> None:
    from analysis.leaderboard import terminal_table
    from analysis.report import build, put
    from analysis.words import DRIFT

    suite, results = done.request.suite, done.request.config.results
    report = build(done.request.store, suite.name)
    paths = put(report, results)
    board = report.tables.leaderboard
    shown = board[board["model"].isin({run.entry.name for run in done.plan.runs})]
    if len(shown):
        out.print(terminal_table(shown, title=f"{suite.name}: {suite.title}"))
    if any(run.key.protocol == "drift" for run in done.plan.runs):
        said = [sentence for part in report.findings.said if part.heading == DRIFT for sentence in part.sentences]
        out.print("\n".join(said), highlight=False)
    if suite.generated:
        out.print("[bold yellow]generated data[/]: these scores say nothing about satellite images")
    folder = results / suite.name
    out.print(f"{len(paths)} files in {folder}; {folder / 'leaderboard.html'} opens in a browser", highlight=False)


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
        console(stderr=True).print(f"{name}: {error}", markup=False, style="red", highlight=False, soft_wrap=True)
        code = 2
    except KeyboardInterrupt:
        console(stderr=True).print(f"\n{name}: stopped; what is done is stored, the same command goes on from there")
        code = 130
    except BrokenPipeError:
        code = 0
    sys.exit(code)


def run() -> None:
    """``geobench-run``."""

    def body(words: list[str], flags: set[str]) -> int:
        configs = run_configs(words, lookup.names("bench.protocols"), catalogue.expand, _study)
        out = console()
        code = 0
        for config in configs:
            if len(configs) > 1:
                out.rule(config.suite)
            try:
                code = max(code, _one(config, out, dry="--dry" in flags))
            except BenchError as error:
                if len(configs) == 1:
                    raise
                # The other suites go on; this one is named, and counts.
                out.print(f"{config.suite}: {error}", markup=False, style="red", highlight=False)
                code = 0 if "--dry" in flags else 1
        return code

    _main("geobench-run", body)


def _study(name: str, suite: str) -> Mapping[str, Any]:
    """Return the words a study brings for a suite."""
    module = lookup.module("bench.studies", name, kind="study")
    words: Mapping[str, Any] = module.DEMO if suite and catalogue.load(suite).generated else module.WORDS
    return words


def _one(config: RunConfig, out: Console, *, dry: bool) -> int:
    """Run one suite; return the exit code."""
    if config.devices > 1 and not dry:
        from bench import parallel

        config = config.model_copy(update={"device": parallel.launch(config.devices, config.device)})
        if parallel.rank():
            sweep(config, console(quiet=True))
            return 0
    done = sweep(config, out, dry=dry)
    if dry:
        return 0
    _report(done, out)
    if done.failed:
        out.print(f"[red]{len(done.failed)} of {len(done.plan.runs)} runs failed[/]; run again to retry them")
    return 1 if done.failed else 0


def list_() -> None:
    """``geobench-list``."""
    from bench.listing import LISTINGS

    def body(words: list[str], flags: set[str]) -> int:
        what = [word for word in words if "=" not in word]
        options = read_words(
            [word for word in words if "=" in word], ("weights", "cache", "model", "models", "suite", *SHOW)
        )
        if "--show" in flags:
            return _show(options)
        if not what and (options.keys() & {"model", "models", "suite"}):
            what = ["suites" if "suite" in options else "models"]
        for one in what or ["suites", "models", "protocols"]:
            if one not in LISTINGS:
                raise UnknownName("listing", one, LISTINGS)
            rows, title = LISTINGS[one](options), one
            if one == "models" and "--json" not in flags and not options.keys() & {"model", "models"}:
                rows = [row for row in rows if row["origin"] != "random"]
                title = f"{len(rows)} models; each with weights has a random twin, NAME.random"
            listing(rows, as_json="--json" in flags, title=title)
        return 0

    _main("geobench-list", body)


def _show(options: dict[str, Any]) -> int:
    """Write the contact sheets of a suite, one a task."""
    from analysis.contact import contact_sheet
    from analysis.plots import saved
    from bench.plan import select_bands, select_tasks
    from bench.store import write_atomic

    if "suite" not in options:
        raise BadSetting("--show draws a suite: geobench-list suite=demo --show")
    suite = catalogue.load(str(options["suite"]))
    bands = select_bands(suite, tuple(_listed(options.get("bands"))))
    for task in select_tasks(suite, ()):
        split = suite.open(Path(str(options.get("data", "data"))), task.name, str(options.get("split", "train")), bands)
        path = Path(str(options.get("results", "results"))) / suite.name / f"contact_{task.name}.png"
        write_atomic(path, saved(contact_sheet(suite, task, split, bands), "png"))
        console().print(f"{path}", highlight=False)
    return 0


def report() -> None:
    """``geobench-report``: tables and figures again, from records alone."""

    def body(words: list[str], flags: set[str]) -> int:
        from analysis.report import known_suites, write_report, write_reports

        options = read_words(words, ("suite", "results", "compare"))
        results = Path(str(options.get("results", "results")))
        store = Store(results)
        known = known_suites(store, results)
        suites = _listed(options.get("suite")) or known
        if unknown := [name for name in suites if name not in known]:
            raise UnknownName("suite with records", unknown[0], known)
        if "compare" in options:
            from analysis.comparison import write_comparison

            if options["compare"] != "published":
                raise UnknownName("numbers to compare with", str(options["compare"]), ("published",))
            paths = write_comparison(store, results, suites)
        elif options.get("suite"):
            paths = [path for name in suites for path in write_report(store, results, name)]
        else:
            paths = write_reports(store, results)
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
        if "--audit" in flags:
            return _audit(request, as_json="--json" in flags)
        rows = checkup(request.suite, request.entries, request.config, request.shelf, request.cache)
        listing(rows, as_json="--json" in flags, title=f"{request.suite.name}: {request.suite.title}")
        return 1 if any(row["state"] == "error" for row in rows) else 0

    _main("geobench-doctor", body)


def _audit(request: Request, *, as_json: bool) -> int:
    """List every fault of a suite's files; return the exit code."""
    from bench.audit import audit
    from bench.plan import select_bands, select_tasks

    suite, config = request.suite, request.config
    rows = audit(suite, config.data, select_tasks(suite, config.tasks), select_bands(suite, config.bands))
    listing(rows, as_json=as_json, title=f"{suite.name}: {suite.title}")
    return 1 if any(row["state"] == "error" for row in rows) else 0


def make() -> None:
    """``geobench-make recipe=... ``: train an entry by a recipe of the foundry."""

    def body(words: list[str], flags: set[str]) -> int:
        recipes = lookup.names("bench.foundry")
        name = next((word.partition("=")[2] for word in words if word.startswith("recipe=")), "")
        module = lookup.module("bench.foundry", name, kind="recipe") if name else None
        if module is None:
            raise UnknownName("recipe", name, recipes, "Write recipe=pretrain")
        known = [*module.Settings.model_fields, "recipe", "data", "out", "device"]
        nested = [key for key, field in module.Settings.model_fields.items() if hasattr(field.default, "model_fields")]
        options = read_words(words, known, nested)
        own: dict[str, Any] = {key: value for key, value in options.items() if key in module.Settings.model_fields}
        out = console()
        path = module.run(
            validate(module.Settings, own, where=f" of recipe {name}"),
            data=Path(str(options.get("data", "data"))),
            out=Path(str(options.get("out", "weights"))),
            device=str(options.get("device", "cpu")),
            progress=lambda text: out.print(text, highlight=False),
        )
        out.print(f"wrote {path}")
        return 0

    _main("geobench-make", body)
