"""Every kind of stored file, harmed in every way: the next run gives the right result again, or names the file.

What must not happen: a traceback, a hang, another result. Each case harms one file of a store that holds one of each
kind, does what reads it, and compares everything that is left with what the sound store gives.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.catalogue import transfer
from bench.catalogue.download import fetch
from bench.catalogue.weights import verify_weights
from bench.core.errors import BenchError, MissingData
from bench.finetuning import loop
from bench.runs.groups import groups_of
from bench.store import PASSING, FeatureCache, Store, collect, leases, stamps, verify, verify_records
from tests.builders.damage import HARMS
from tests.builders.servers import CONTENT, hub_server
from tests.builders.stored import fill
from tests.builders.stored_sweep import entry, outcomes, prepared, sweep
from tests.builders.training import Killed, run, same

pytestmark = pytest.mark.slow
SECONDS = 60

# What is harmed, by pattern below the folder -> what hides the harm and is removed first: the records of a protocol and
# other files, by pattern.
KINDS = {
    "record": ("results/toy/records/*.json", ()),
    "arrays": ("results/toy/records/*.npz", ()),
    "label subset": ("results/toy/subsets/*.txt", ("knn",)),
    "features": ("cache/features/*/block_?.mean.npy", ("knn",)),
    "manifest": ("cache/features/*/manifest.json", ("knn",)),
    "statistics": ("cache/statistics/*.json", ("knn", "cache/features/*")),
    "hash": ("cache/hashes/*.json", ()),
    "first hash": ("cache/first_hashes/*.json", ("cache/hashes/*",)),
    "stamp": ("cache/verified/*/*.json", ("knn",)),
    "weights": ("cache/weights/toy/model.bin", ()),
    "tuned weights": ("cache/tuned/*.safetensors", ()),
}
REFUSED = {"weights"}  # what nobody can make again
CASES = [(kind, harm) for kind in KINDS for harm in HARMS]


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """End a case that does not end by itself."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A folder with a finished sweep, and what it came to."""
    folder = tmp_path_factory.mktemp("sound")
    assert set(sweep(folder).values()) == {"done"}
    return folder, outcomes(folder)


@pytest.fixture
def copy(sound, tmp_path, monkeypatch) -> Path:
    """A copy of that folder that a process has read once, so that there are hashes and stamps of its files."""
    monkeypatch.setattr(stamps, "SMALL", 0)  # sets count as large: they are trusted by their stamps
    shutil.copytree(sound[0], tmp_path / "copy")
    assert set(sweep(tmp_path / "copy").values()) == {"stored"}
    cache = FeatureCache(tmp_path / "copy" / "cache")
    assert all(cache.is_sound(folder) for folder in (cache.root / "features").iterdir())
    return tmp_path / "copy"


def judged(work: Callable[[], str], path: Path) -> str:
    """Return what became of some work: its result, or ``refused`` where the file was named."""
    try:
        result = work()
    except BenchError as error:
        result = str(error)
    return "refused" if path.name in result or path.parent.name in result else result


def harmed(copy: Path, kind: str, harm: str) -> Path:
    """Do harm to the first file of a kind; return its path."""
    path, *others = sorted(copy.glob(KINDS[kind][0]))
    if not others:
        others = [copy / "another"]
        others[0].write_bytes(b"of another kind")
    HARMS[harm](path, others[0])
    return path


def forget(copy: Path, what: str) -> None:
    """Remove the records of a protocol, or files and folders by pattern."""
    for path in copy.glob(what if "/" in what else "results/toy/records/*.json"):
        if "/" in what or f'"protocol": "{what}"' in path.read_text():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(("kind", "harm"), CASES)
def test_a_sweep_heals_or_names_what_is_harmed(sound, copy, kind, harm):
    for what in KINDS[kind][1]:
        forget(copy, what)
    path = harmed(copy, kind, harm)

    def work() -> str:
        statuses = set(sweep(copy).values())
        assert statuses <= {"done", "stored"}, statuses
        return "right" if outcomes(copy) == sound[1] else "another result"

    verdict = judged(work, path)
    if kind in REFUSED:
        assert verdict == "refused"
    else:
        assert verdict == "right" or (verdict == "refused" and harm == "a folder")


SEEN = [kind for kind in KINDS if kind not in ("stamp", "label subset")]
HARMFUL = [harm for harm in HARMS if harm not in ("gone", "swapped", "replaced by another", "a folder")]


@pytest.mark.parametrize(("kind", "harm"), [(kind, harm) for kind in SEEN for harm in HARMFUL])
def test_verification_finds_it_and_collection_clears_it(copy, kind, harm):
    path = harmed(copy, kind, harm)
    cache = FeatureCache(copy / "cache")

    def damaged() -> list[str]:
        rows = verify(cache) + verify_weights(cache.root, [entry()]) + verify_records(copy / "results")
        return [f"{row['name']} {row['state']}" for row in rows if row["state"] not in PASSING]

    damages = damaged()
    if harm == "last byte gone" and path.suffix == ".json":  # white space, which is no part of what is said
        assert damages == []
        return
    assert len(damages) == 1 and (path.stem in damages[0] or path.parent.name in damages[0]), damages
    if "cache" in str(path.relative_to(copy)) and kind != "weights":
        collect(cache)
        assert damaged() == []


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("pattern", ["*.partial/progress.json", "*.partial/embedding.mean.npy"])
def test_the_beginning_of_a_feature_set(tmp_path, pattern, harm):
    whole, cache = FeatureCache(tmp_path / "whole"), FeatureCache(tmp_path / "cut")
    fill(whole, {"k": 1})
    fill(cache, {"k": 1}, stop=4)
    (path,) = (tmp_path / "cut" / "features").glob(pattern)
    HARMS[harm](path, path.with_name("embedding.cls.npy"))

    def work() -> str:
        fill(cache, {"k": 1})
        features, expected = cache.open({"k": 1}), whole.open({"k": 1})
        return "right" if features is not None and features.manifest == expected.manifest else "another result"

    assert judged(work, path) == "right"


@pytest.fixture(scope="module")
def trained():
    return run(None)


@pytest.mark.parametrize("harm", HARMS)
def test_the_checkpoint_of_a_training(tmp_path, monkeypatch, trained, harm):
    monkeypatch.setattr(loop, "KEPT_SECONDS", -1.0)
    place, other = tmp_path / "0a_0.pt", tmp_path / "0b_0.pt"
    for path, stop in ((place, 3), (other, 1)):
        with pytest.raises(Killed):
            run(path, stop=stop)
    HARMS[harm](place, other)
    resumed = run(place)
    assert same(resumed, trained)
    assert resumed[0].notes or harm in ("gone", "a link to nothing")


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("suffix", ["part", "note"])
def test_the_beginning_of_a_download(tmp_path, monkeypatch, suffix, harm):
    monkeypatch.setattr(transfer, "unreachable", {})
    with hub_server() as (handler, url):
        handler.cut = 300_000
        for name in ("file", "other"):
            with pytest.raises(MissingData):
                fetch(f"{url}/{name}", tmp_path / name)
        (path,), (other,) = tmp_path.glob(f".file.*.{suffix}"), tmp_path.glob(f".other.*.{suffix}")
        HARMS[harm](path, other)
        handler.cut = None
        assert fetch(f"{url}/file", tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("harm", HARMS)
def test_a_claim(sound, copy, monkeypatch, harm):
    """The claim of runs that a dead process has left: it is taken over, or its runs are."""
    monkeypatch.setattr(leases, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.05)
    group = groups_of(prepared(copy)[0].runs)[0]
    path = copy / "results" / "toy" / "records" / f"{group.name}.lease"
    record = path.with_name(f"{group.runs[0].key.digest}.json")
    path.write_bytes(b"filelock/2\npid=999999\nhost=elsewhere\nmode=lease\ntoken=00\nduration=120.0\nstart=1\n\n")
    HARMS[harm](path, record)
    if path.is_file() and b"\nduration=120.0\n" in path.read_bytes():
        path.unlink()  # whole enough to be that of a living process, which would rightly be waited for
    record.unlink(missing_ok=True)

    def work() -> str:
        sweep(copy)
        return "right" if outcomes(copy) == sound[1] else "another result"

    assert judged(work, path) == "right"


@pytest.mark.parametrize("harm", HARMS)
def test_the_mark_of_a_reader(tmp_path, harm):
    reader, cache = FeatureCache(tmp_path), FeatureCache(tmp_path)
    for number in (1, 2):
        fill(cache, {"k": number})
    features = reader.open({"k": 1})
    (path,) = (tmp_path / "readers").glob("*.sets")
    HARMS[harm](path, path.with_suffix(".lease"))
    assert judged(lambda: "right" if collect(cache, keep_bytes=0) is not None else "", path) == "right"
    assert features is not None and cache.open({"k": 2}) is None


@pytest.mark.parametrize("harm", HARMS)
def test_reports_leave_out_what_is_harmed(copy, harm):
    """Tables are made of what is sound; what is not is named."""
    from analysis.report.write import build

    records = sorted(copy.glob("results/toy/records/*.npz"))
    HARMS[harm](records[0], records[1])
    store = Store(copy / "results")
    harmed = 2 if harm == "swapped" else 1
    assert len(store.faults()) == harmed and records[0].stem in store.faults()[0].text
    assert len(list(store.records())) == len(records) - harmed
    board = build(store, "toy").tables.leaderboard
    assert len(board) and not board["record"].str.contains(records[0].stem).any()


def test_several_hundred_cases_are_tried():
    assert len(CASES) + len(SEEN) * len(HARMFUL) + 8 * len(HARMS) > 600
