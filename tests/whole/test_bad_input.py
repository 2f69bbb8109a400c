"""Hundreds of bad inputs to the commands: each ends in a sentence and the right exit code.

A traceback, a hang, exit 0 on a failure, and a silent difference are failures. Words and files are tried in this
process, through the functions behind the commands; terminals, shells and damaged files in processes of their own.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.bad_files import CONFIG_FILES, MODEL_FILE, SUITE_FILE, changed
from tests.builders.bad_words import OTHERS, RUN
from tests.builders.commands import Outcome, call
from tests.builders.suite_and_model import coloured_images


def check(outcome: Outcome, text: str, code: int = 2) -> None:
    """Fail unless a command ended with a code and a sentence that holds one of the texts (parted by ``|``)."""
    assert not outcome.trace, outcome.trace
    assert outcome.code == code, (outcome.code, outcome.err[-800:], outcome.out[-800:])
    message = outcome.err if code == 2 else outcome.out + outcome.err
    assert "Traceback" not in outcome.out + outcome.err
    assert any(part in message for part in text.split("|")), f"{text!r} not in {message[-1500:]!r}"
    if code == 2:
        assert message.startswith("geobench-") and len(message) < 6000, message[:300]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("words", "text"), RUN, ids=[" ".join(words)[:60] or "none" for words, _ in RUN])
def test_words_of_run(words, text, place):
    check(call("run", words), text)
    assert not (place / "results").exists(), "a bad request leaves nothing"


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_a_file_of_words(name, place):
    content, text = CONFIG_FILES[name]
    (place / "run.yaml").write_bytes(content)
    for command in ("run", "doctor"):
        check(call(command, ["config=run.yaml"]), text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A working folder with a user's suite and model, and the records of one run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "geobench_suites.py").write_text(SUITE_FILE)
    (folder / "geobench_models.py").write_text(MODEL_FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GEOBENCH_CACHE", str(folder / "cache"))
        outcome = call("run", ["suite=mine", "models=[mynet_small,image_stats]", "protocols=knn", "knn.k=1"])
    assert outcome.code == 0, outcome
    return folder


@pytest.mark.parametrize(
    ("command", "words", "text"), OTHERS, ids=[f"{command} {' '.join(words)[:60]}" for command, words, _ in OTHERS]
)
def test_words_of_the_other_commands(command, words, text, place, finished):
    check(call(command, [word.replace("RESULTS", str(finished / "results")) for word in words]), text)


RUNNABLE = ["suite=mine", "models=[mynet_small,image_stats]", "protocols=knn", "knn.k=1"]

SUITES: list[tuple[str, str, str, int]] = [
    ("SUITE = ", "SUITE_ = ", "has no SUITE", 2),
    ("SUITE = Suite(", "SUITE = dict(", "has no SUITE", 2),
    ("SUITE = Suite(", "SUITES = 3 or Suite(", "has no SUITE", 2),
    ("import numpy as np", "import nummpy as np", "cannot be run: ModuleNotFoundError", 2),
    ("import numpy as np", "import numpy as np\nprint(", "cannot be run: SyntaxError", 2),
    ("import numpy as np", "import numpy as np; import sys; sys.exit(0)", "cannot be run: it ends the program", 2),
    ("import numpy as np", "import numpy as np; raise MemoryError", "MemoryError|memory ran out", 2),
    ("import numpy as np", "import numpy as np\ndef f(): f()\nf()", "RecursionError", 2),
    ("import numpy as np", "import numpy as np; 1 / 0", "ZeroDivisionError", 2),
    ("import numpy as np", "\0", "cannot be run", 2),
    ('name="mine"', 'name="mine/../.."', "name='mine/../..'", 2),
    ('name="mine"', 'name="[/b]"', "name='[/b]'", 2),
    ('name="mine"', "name=3", "name=3", 2),
    ("version=1", "version=1.5", "version=1.5", 2),
    ('title="mine"', "title=None", "title=None", 2),
    ('    title="mine",\n', "", "missing 1 required keyword-only argument: 'title'", 2),
    ('title="mine"', 'title="mine", colour="red"', "unexpected keyword argument 'colour'", 2),
    ("bands=BANDS,", "bands=(),", "bands=()", 2),
    ("bands=BANDS,", "bands=BANDS[0],", "a tuple of bench.core.Band", 2),
    ("bands=BANDS,", 'bands=("s2.b04",),', "a tuple of bench.core.Band", 2),
    ('name="s2.b08", unit="dn"', 'name="s2.b08", unit="dnn"', "no unit 'dnn'; did you mean dn?", 2),
    ('name="s2.b08", unit="dn"', 'name="s2.b08", unit=None', "no unit 'None'", 2),
    ('name="s2.b08", unit="dn"', 'name="s2.b04", unit="dn"', "bands given twice", 2),
    ('name="s2.b08", unit="dn"', 'name="b08", unit="dn"', "sensor.band", 2),
    ("image_size=(16, 16)", "image_size=16", "(height, width)", 2),
    ("image_size=(16, 16)", "image_size=(0, 16)", "(height, width)", 2),
    ("image_size=(16, 16)", "image_size=(16.0, 16)", "(height, width)", 2),
    ('kind="classification"', 'kind="classfication"', "did you mean classification?", 2),
    ('metric="accuracy"', 'metric="acuracy"', "did you mean accuracy?", 2),
    ('metric="accuracy"', 'metric=""', "no metric ''", 2),
    ('classes=("low", "high")', "classes=()", "the names of the classes", 2),
    ('classes=("low", "high")', 'classes=("low",)', "the names of the classes", 2),
    ('classes=("low", "high")', 'classes="low"', "a tuple of texts", 2),
    ('classes=("low", "high")', 'classes=("a", "a")', "two classes of one name", 2),
    ('Task(name="kind"', 'Task(name="../kind"', "name='../kind'", 2),
    ("tasks=(", "tasks=None and (", "a tuple of bench.core.Task", 2),
    ('splits={"train": 12, "val": 8, "test": 8}', 'splits={"train": 12, "test": 8}', "train, val and test", 2),
    ('splits={"train": 12, "val": 8, "test": 8}', 'splits={"train": "12", "val": 8, "test": 8}', "splits['train']", 2),
    ('splits={"train": 12, "val": 8, "test": 8}', "splits=None", "splits=None", 2),
    ("open=open_split", 'open="open_split"', "open must be a function", 2),
    ("open=open_split", "open=lambda: None", "TypeError", 2),
    ("open=open_split", "open=open_split, dates=-1", "dates=-1", 2),
    ("open=open_split", "open=open_split, dates=2", "has 1 dates", 2),
    ("open=open_split", "open=open_split, folder='/etc'", "folder='/etc'", 2),
    ("open=open_split", "open=open_split, gsd_m=0", "gsd_m=0", 2),
    ("open=open_split", "open=open_split, levels='s2:L2A'", "a tuple of texts", 2),
    ("open=open_split", "open=open_split, default_bands=('s9',)", "no band of mine 's9'", 2),
    ("open=open_split", "open=open_split, download=3", "download must be a function", 2),
    (
        "    return Split(split, COUNTS",
        "    return None and Split(split, COUNTS",
        "returned NoneType, which lacks ids",
        2,
    ),
    (
        "    return Split(split, COUNTS",
        "    raise KeyError(split)\n    return Split(split, COUNTS",
        "KeyError: 'train'",
        2,
    ),
    ("    return Split(split, COUNTS", "    exit(0)\n    return Split(split, COUNTS", "SystemExit: 0", 2),
    ("    return Split(split, COUNTS", "    open('/nowhere/x')\n    return Split(split, COUNTS", "/nowhere/x", 2),
    ("    return Split(split, COUNTS", "    open('/etc')\n    return Split(split, COUNTS", "/etc", 2),
    ("self.blocks = self.ids", "pass", "which lacks blocks", 2),
    ("self.blocks = self.ids", "self.blocks = []", "12 ids and 0 blocks", 2),
    ("self.blocks = self.ids", "self.blocks = self.ids = list(range(count))", "ids must be text", 2),
    ("self.blocks = self.ids", "self.blocks = self.ids = ['a'] * count", "is given twice", 2),
    ('f"{split}_{i}"', 'f"{i}"', "splits must be disjoint", 2),
    ("def __len__(self)", "def length(self)", "which lacks __len__", 2),
    ("def __getitem__(self, index)", "def get(self, index)", "which lacks __getitem__", 2),
    ("def targets(self)", "def labels_of(self)", "which lacks targets", 2),
    ("return len(self.ids)", "return len(self.ids) + 1", "13 samples, 12 ids", 2),
    ('COUNTS = {"train": 12', 'COUNTS = {"train": 0', "holds no sample", 2),
    ('"val": 8, "test": 8}\nBANDS', '"val": 0, "test": 8}\nBANDS', "holds no sample", 2),
    ('"val": 8, "test": 8}\nBANDS', '"val": 8, "test": 0}\nBANDS', "holds no sample", 2),
    ("(1, 2, 16, 16))", "(2, 16, 16))", "the time axis is missing", 2),
    ("(1, 2, 16, 16))", "(1, 1, 2, 16, 16))", "IndexError", 1),
    ("(1, 2, 16, 16))", "(3, 2, 16, 16))", "has 3 dates", 2),
    ("values[:, columns]", "values[:, [0]]", "has 1 bands", 2),
    ("values[:, columns].astype(np.float32)", "None", "images are (T, C, H, W)", 2),
    ('images={"s2":', 'images={"s1":', "images of s1; asked for were s2", 2),
    ("return Sample(", "return dict(", "where bench.core.Sample", 2),
    ("return Sample(", "return None and Sample(", "where bench.core.Sample", 2),
    ("label = int(self.labels[index])", "label = self.labels[99]", "IndexError", 1),
    ("label = int(self.labels[index])", "label = 1 / 0", "ZeroDivisionError", 1),
    ("np.arange(count) % 2", "np.arange(count) % 2 + 7", "label 7|none of the 2 classes", 1),
    ("np.arange(count) % 2", "np.arange(count) % 2 - 9", "label|negative", 1),
    ("np.arange(count) % 2", "np.full(count, np.nan)", "nan|label|ValueError", 1),
    ("        return self.labels\n", "        return self.labels[:-1]\n", "targets|labels|IndexError", 1),
    ("        return self.labels\n", "        return None\n", "targets|labels|Error", 1),
]


@pytest.mark.parametrize(
    ("old", "new", "text", "code"), SUITES, ids=[f"{old[:25]!r} {new[:40]!r}" for old, new, *_ in SUITES]
)
def test_a_file_of_suites(old, new, text, code, place):
    (place / "geobench_suites.py").write_text(changed(SUITE_FILE, old, new))
    (place / "geobench_models.py").write_text(MODEL_FILE)
    check(call("run", RUNNABLE), text, code)


MODELS: list[tuple[str, str, str, int]] = [
    ("ENTRIES = (", "ENTRY = (", "has no ENTRIES", 2),
    ("ENTRIES = (", "ENTRIES = 3 or (", "has no ENTRIES", 2),
    ("ENTRIES = (", "ENTRIES = ('x',) or (", "has no ENTRIES", 2),
    ("from bench.core import", "from bench.coree import", "cannot be run: ModuleNotFoundError", 2),
    (
        "from bench.core import",
        "import sys; sys.exit()\nfrom bench.core import",
        "cannot be run: it ends the program",
        2,
    ),
    ("from bench.core import", "(\nfrom bench.core import", "cannot be run: SyntaxError", 2),
    ('name="mynet_small"', 'name="my net"', "name='my net'", 2),
    ('name="mynet_small"', 'name="tiny_mae"', "the name tiny_mae is taken", 2),
    ('name="mynet_small"', 'name="[/b]"', "name='[/b]'", 2),
    ('origin="pretrained"', 'origin="pretraind"', "did you mean pretrained?", 2),
    ('origin="pretrained"', "origin=None", "no origin 'None'", 2),
    ('objective="reconstruction"', 'objective="mae"', "no objective 'mae'", 2),
    ('unit="dn"), Band', 'unit="DN"), Band', "no unit 'DN'; did you mean dn?", 2),
    ('Band(name="s2.b04", unit="dn"), Band', 'Band(name="s2.b08", unit="dn"), Band', "bands given twice", 2),
    ('bands=(Band(name="s2.b04", unit="dn"), Band(name="s2.b08", unit="dn"))', "bands=()", "bands=()", 2),
    ('kind="affine"', 'kind="zscore"', "no normalise kind 'zscore'", 2),
    ("shift=(1000.0, 1000.0)", "shift=(1000.0,)", "1 shifts and 2 scales", 2),
    ("scale=(500.0, 500.0)", "scale=(500.0, 0.0)", "a scale of 0", 2),
    ("image_size=16", "image_size=0", "image_size=0", 2),
    ("image_size=16", "image_size='16'", "image_size='16'", 2),
    ("patch=4", "patch=-4", "patch=-4", 2),
    ("depth=1", "depth=1.5", "depth=1.5", 2),
    ("width=2", "width=-2", "width=-2", 2),
    ("parameters=10", "parameters=None", "parameters=None", 2),
    ("parameters=10", "parameters=10, weights='x.pth'", "bench.core.Weights", 2),
    ("parameters=10", "parameters=10, trained_on='eurosat'", "a tuple of texts", 2),
    ("parameters=10", "parameters=10, absent='zero'", "absent='zero'", 2),
    ("parameters=10", "parameters=10, absent=('fill',)", "no absent 'fill'", 2),
    ("load=load", "load=None", "load must be a function", 2),
    ("    return Net()", "    return None", "mynet_small", 1),
    ("    return Net()", "    raise KeyError('weights')", "KeyError: 'weights'", 1),
    ("    return Net()", "    import sys; sys.exit(0)", "SystemExit", 1),
    ("    return Net()", "    return load(entry, weights, seed, bands)", "RecursionError", 1),
    ("    import torch\n", "    import torchh as torch\n", "No module named 'torchh'", 1),
    ("for i in layers]", "for i in list(layers)[:1]]", "mynet_small", 1),
    ("return [Tap(", "return None and [Tap(", "mynet_small", 1),
    ('images["s2"][:, 0], 4)', 'images["s1"][:, 0], 4)', "KeyError: 's1'", 1),
    ('images["s2"][:, 0], 4)', 'images["s2"][:, 0] * float("nan"), 4)', "gives NaN", 1),
]


@pytest.mark.parametrize(
    ("old", "new", "text", "code"), MODELS, ids=[f"{old[:25]!r} {new[:40]!r}" for old, new, *_ in MODELS]
)
def test_a_file_of_models(old, new, text, code, place):
    (place / "geobench_suites.py").write_text(SUITE_FILE)
    (place / "geobench_models.py").write_text(changed(MODEL_FILE, old, new))
    check(call("run", ["suite=mine", "models=mynet_small", *RUNNABLE[2:]]), text, code)


@pytest.fixture
def mine(place) -> Path:
    """A working folder with the sound suite and model."""
    (place / "geobench_suites.py").write_text(SUITE_FILE)
    (place / "geobench_models.py").write_text(MODEL_FILE)
    (place / "file").write_text("x")
    (place / "folder").mkdir()
    (place / "loop").symlink_to(place / "loop")
    (place / "dangling").symlink_to(place / "nowhere" / "x")
    return place


PLACES: list[tuple[str, list[str], str, int]] = [
    *(
        ("run", [*RUNNABLE, f"{key}={value}"], text, 2)
        for key in ("results", "cache")
        for value, text in (
            ("file", "a file lies where a folder is needed"),
            ("file/below", "a file lies where a folder is needed"),
            ("/dev/null", "a file lies where a folder is needed"),
            ("/dev/null/x", "a file lies where a folder is needed"),
            ("/proc/x", "/proc/x"),
            ("/proc/self/status", "a file lies where a folder is needed"),
            ("/sys/x", "/sys/x"),
            ("loop", "its links lead in a circle|a file lies where"),
            ("x" * 300, "too long"),
            ("folder/" + "x" * 300, "too long"),
            ("x/" * 3000, "too long"),
        )
    ),
    *(
        ("run", ["suite=eurosat_rgb", "models=image_stats", "download=false", f"data={value}"], text, 2)
        for value, text in (
            ("file", "eurosat_rgb not found under file|a file lies where"),
            ("folder", "eurosat_rgb not found under folder"),
            ("/dev/null", "eurosat_rgb not found|a file lies where"),
            ("loop", "eurosat_rgb not found|circle"),
            ("x" * 300, "eurosat_rgb not found|too long"),
        )
    ),
    ("run", ["suite=demo", "models=dofa_base", "weights=file", "download=false"], "dofa_base: no weights", 2),
    ("run", ["suite=demo", "models=dofa_base", "weights=loop", "download=false"], "dofa_base: no weights|circle", 2),
    ("run", [*RUNNABLE, "entries=file"], "file", 2),
    ("run", [*RUNNABLE, "entries=nowhere"], "nowhere", 2),
    *(
        ("report", [f"results={value}"], text, 2)
        for value, text in (
            ("file", "no records below file|a file lies where"),
            ("folder", "no records below folder"),
            ("loop", "no records below loop|circle"),
            ("dangling", "no records below dangling"),
            ("/proc", "no records below /proc"),
        )
    ),
    *(
        ("cache", [action, f"cache={value}"], text, 2)
        for action in ("ls", "verify", "gc")
        for value, text in (("file", "is no folder"), ("loop", "is no folder"), ("nowhere", "is no folder"))
    ),
    ("cache", ["verify", "cache=folder", "results=nowhere"], "results=nowhere is no folder", 2),
    ("cache", ["verify", "cache=folder", "results=file"], "results=file is no folder", 2),
    *(
        ("make", ["recipe=pretrain", "model=tiny_mae", "epochs=1", "images=8", "batch=4", f"out={value}"], text, 2)
        for value, text in (
            ("file", "a file lies where a folder is needed"),
            ("/proc/x", "/proc/x"),
            ("loop", "circle|a file lies where"),
            ("x" * 300, "too long"),
        )
    ),
    *(
        ("list", ["suite=demo", "--show", f"results={value}"], text, 2)
        for value, text in (("file", "a file lies where a folder is needed"), ("/proc/x", "/proc/x"))
    ),
]


@pytest.mark.parametrize(
    ("command", "words", "text", "code"),
    PLACES,
    ids=[f"{command} {words[-1][:30]} {number}" for number, (command, words, *_) in enumerate(PLACES)],
)
def test_places_that_cannot_be_used(command, words, text, code, mine):
    check(call(command, words), text, code)


WITHIN: list[tuple[str, str]] = [
    ("mine", "a file lies where a folder is needed"),
    ("mine/records", "a file lies where a folder is needed"),
    ("mine/leaderboard.html/", "it is a folder where a file is needed"),
    ("mine/leaderboard.csv/", "it is a folder where a file is needed"),
    ("mine/layers.csv/", "it is a folder where a file is needed"),
]


@pytest.mark.parametrize(("path", "text"), WITHIN)
def test_something_else_lies_where_results_go(path, text, mine):
    target = mine / "results" / path
    target.mkdir(parents=True) if path.endswith("/") else target.parent.mkdir(parents=True, exist_ok=True)
    if not path.endswith("/"):
        target.write_text("x")
    check(call("run", RUNNABLE), text, 2)


ODD = [
    *(
        "[red]",
        "[/b]",
        "[bold",
        "a b",
        "$HOME",
        "`id`",
        "it's",
        'quo"te',
        ":car:",
        "日本",
        "-x",
        "~x",
        "a;b",
        "a&b",
        "*",
        "?x",
    ),
    *("a=b", "new\nline", "tab\t", "x" * 200, "back\\slash", "%s", "{x}", "${x}", "a,b", "[x],y", "\x1b[31m"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_of_a_folder_changes_nothing(name, mine, finished):
    """The same bytes as in a plain folder, and the name as it is in what is printed."""
    from bench.config.words import spelled
    from bench.core.wording import printable

    words = [*spelled("results", f"r{name}/x"), *spelled("cache", f"c{name}")]
    outcome = call("run", [*RUNNABLE, *words])
    assert outcome.code == 0 and not outcome.trace, outcome
    assert f"files in {printable(f'r{name}/x/mine')}; " in outcome.out
    left, plain = mine / f"r{name}" / "x" / "mine", finished / "results" / "mine"
    for file, columns in (("leaderboard.csv", "model layer score low high"), ("layers.csv", "model layer val test")):
        tables = [list(csv.DictReader((folder / file).open())) for folder in (left, plain)]
        rows = [[[row[column] for column in columns.split()] for row in table] for table in tables]
        assert rows[0] == rows[1] and rows[0], file
    again = call("report", spelled("results", f"r{name}/x"))
    assert again.code == 0 and not again.trace, again
    assert (mine / f"c{name}").is_dir()


def edited(path: Path, **changes: object) -> bytes:
    """Return a record's JSON with some fields changed, its checksum left as it was."""
    return json.dumps({**json.loads(path.read_text()), **changes}).encode()


DAMAGES: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda path: b"",
    "cut": lambda path: path.read_bytes()[:-40],
    "half": lambda path: path.read_bytes()[: len(path.read_bytes()) // 2],
    "flipped": lambda path: path.read_bytes().replace(b"1", b"2", 1),
    "binary": lambda path: bytes(range(256)),
    "null": lambda path: b"null",
    "list": lambda path: b"[]",
    "text": lambda path: b'"x"',
    "number": lambda path: b"1" * 5000,
    "deep": lambda path: b"[" * 100_000,
    "deep_key": lambda path: edited(path, key={"a": json.loads("[" * 900 + "]" * 900)}),
    "no_key": lambda path: edited(path, key=None),
    "other_key": lambda path: edited(path, key={**json.loads(path.read_text())["key"], "seed": 7}),
    "extra_key": lambda path: edited(path, key={**json.loads(path.read_text())["key"], "more": 7}),
    "other_digest": lambda path: edited(path, digest="0" * 20),
    "status": lambda path: edited(path, status="great"),
    "score": lambda path: path.read_bytes().replace(b'"accuracy": ', b'"accuracy": 9', 1),
    "nan": lambda path: edited(path, cost={"seconds": float("nan")}),
    "scores": lambda path: edited(path, scores=[1, 2]),
    "curves": lambda path: edited(path, curves="x"),
    "facts": lambda path: edited(path, facts={"origin": "pretrained", "[/b]": 1}),
    "unknown_field": lambda path: edited(path, verdict="best"),
    "arrays": lambda path: edited(path, arrays=["../../x"]),
}


@pytest.fixture
def again(mine, finished) -> Path:
    """A working folder with the records of a finished run, and no cache."""
    shutil.copytree(finished / "results", mine / "results")
    return mine


def scores(folder: Path) -> list[list[str]]:
    columns = ["task", "model", "protocol", "layer", "fraction", "score", "low", "high", "n_test"]
    return [[row[name] for name in columns] for row in csv.DictReader((folder / "leaderboard.csv").open())]


def named_and_healed(folder: Path, victim: Path, finished: Path) -> None:
    """Fail unless the report names what is damaged, and a run makes it again with the same scores."""
    outcome = call("report", ["results=results"])
    assert not outcome.trace, outcome.trace
    assert victim.stem in outcome.out + outcome.err, (outcome.code, outcome.out[-500:], outcome.err[-500:])
    outcome = call("cache", ["verify", "results=results"])
    assert not outcome.trace and outcome.code == 1 and victim.stem in outcome.out, outcome
    outcome = call("run", RUNNABLE)
    assert not outcome.trace and outcome.code == 0, outcome
    assert "1 to do" in outcome.out
    assert scores(folder / "results" / "mine") == scores(finished / "results" / "mine")
    assert call("cache", ["verify", "results=results"]).code == 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record(damage, again, finished):
    victim = sorted((again / "results" / "mine" / "records").glob("*.json"))[0]
    victim.write_bytes(DAMAGES[damage](victim))
    named_and_healed(again, victim, finished)


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "gone", "text"])
def test_damaged_arrays_of_a_record(damage, again, finished):
    victim = sorted((again / "results" / "mine" / "records").glob("*.npz"))[0]
    content = victim.read_bytes()
    victim.unlink()
    if damage != "gone":
        flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
        victim.write_bytes({"empty": b"", "half": content[:50], "flipped": flipped, "text": b"x"}[damage])
    named_and_healed(again, victim, finished)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


IMAGES: dict[str, tuple[Callable[[Path], None], str, int]] = {
    "no_split": (lambda root: (root / "split.csv").unlink(), "split.csv", 2),
    "empty_split": (lambda root: (root / "split.csv").write_text(""), "split.csv", 2),
    "header_only": (lambda root: (root / "split.csv").write_text("class,file,split\n"), "split.csv|no sample", 2),
    "other_columns": (lambda root: (root / "split.csv").write_text("a,b\n1,2\n"), "split.csv", 2),
    "binary_split": (lambda root: (root / "split.csv").write_bytes(bytes(range(256)) * 9), "split.csv", 2),
    "folder_for_split": (lambda root: [(root / "split.csv").unlink(), (root / "split.csv").mkdir()], "split.csv", 2),
    "no_images": (lambda root: shutil.rmtree(root / "EuroSAT_RGB"), "EuroSAT_RGB", 2),
    "no_class": (lambda root: shutil.rmtree(root / "EuroSAT_RGB" / "River"), "River", 2),
    "one_image_gone": (lambda root: (root / "EuroSAT_RGB" / "River" / "River_3.jpg").unlink(), "River_3.jpg", 2),
    "cut_image": (lambda root: cut(root / "EuroSAT_RGB" / "River" / "River_3.jpg"), "River_3.jpg", 1),
    "cut_first_image": (lambda root: cut(root / "EuroSAT_RGB" / "Forest" / "Forest_0.jpg"), "Forest_0.jpg", 1),
    "empty_image": (lambda root: (root / "EuroSAT_RGB" / "River" / "River_5.jpg").write_bytes(b""), "River_5.jpg", 1),
    "text_image": (lambda root: (root / "EuroSAT_RGB" / "River" / "River_5.jpg").write_text("x"), "River_5.jpg", 1),
    "script_image": (
        lambda root: (root / "EuroSAT_RGB" / "River" / "River_5.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\nshowpage"),
        "River_5.jpg",
        1,
    ),
    "small_image": (lambda root: picture(root, (3, 3)), "River_5.jpg", 1),
    "large_image": (lambda root: picture(root, (200, 64)), "River_5.jpg", 1),
}


def picture(root: Path, size: tuple[int, int]) -> None:
    from PIL import Image

    Image.new("RGB", size).save(root / "EuroSAT_RGB" / "River" / "River_5.jpg")


@pytest.mark.parametrize("name", IMAGES)
def test_damaged_data(name, place):
    damage, text, code = IMAGES[name]
    coloured_images(place / "data")
    damage(place / "data" / "eurosat_rgb")
    words = ["suite=eurosat_rgb", "models=image_stats", "protocols=knn", "download=false"]
    check(call("run", words), text, code)


def shell(line: str, folder: Path, timeout: int = 180, **more: str) -> subprocess.CompletedProcess:
    """Return what bash does with a line, in an environment without the settings of this one."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "GEOBENCH_CACHE": str(folder / "cache"),
        **more,
    }
    arguments = ["bash", "-c", line]
    return subprocess.run(
        arguments, capture_output=True, text=True, errors="replace", env=environment, cwd=folder, timeout=timeout
    )


RUN_MINE = "geobench-run suite=mine models=image_stats protocols=knn knn.k=1"
TERMINALS: list[tuple[str, str, dict[str, str], str, int]] = [
    *(
        (f"encoding_{name}", f"{RUN_MINE} && geobench-list units suites", {"PYTHONIOENCODING": name}, "", 0)
        for name in ("ascii", "cp1252", "latin-1", "utf-8", "ascii:strict", "utf-16", "cp437", "koi8-r")
    ),
    ("lang_c", RUN_MINE, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "", 0),
    ("lang_posix", RUN_MINE, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}, "", 0),
    ("lang_nonsense", RUN_MINE, {"LC_ALL": "xx_YY.nonsense"}, "", 0),
    *(
        (f"columns_{value}", f"{RUN_MINE} && geobench-list protocols", {"COLUMNS": value}, "", 0)
        for value in ("0", "1", "-1", "20", "abc", "²", "", "9" * 30, "80.5", " 80")
    ),
    *((f"lines_{value}", RUN_MINE, {"LINES": value}, "", 0) for value in ("0", "²", "-1")),
    *((f"term_{value}", RUN_MINE, {"TERM": value}, "", 0) for value in ("dumb", "unknown", "", "x" * 1000)),
    ("no_color", RUN_MINE, {"NO_COLOR": "1"}, "", 0),
    ("force_color", RUN_MINE, {"FORCE_COLOR": "1"}, "", 0),
    ("stdin_closed", f"{RUN_MINE} <&-", {}, "", 0),
    ("stdout_closed", f"{RUN_MINE} >&-", {}, "", 0),
    ("stderr_closed", f"{RUN_MINE} 2>&-", {}, "", 0),
    ("all_closed", f"{RUN_MINE} <&- >&- 2>&-", {}, "", 0),
    ("bad_stderr_closed", "geobench-run suite=x 2>&-", {}, "", 2),
    ("stdout_full", f"{RUN_MINE} > /dev/full", {}, "no space", 2),
    ("help_full", "geobench-run --help > /dev/full", {}, "no space", 2),
    ("json_full", "geobench-list suites --json > /dev/full", {}, "no space", 2),
    ("stderr_full", "geobench-run suite=x 2> /dev/full", {}, "", 2),
    ("head", "set -o pipefail; geobench-list suites | head -1", {}, "", 0),
    ("head_json", "set -o pipefail; geobench-list suites --json | head -1", {}, "", 0),
    ("run_head", f"set -o pipefail; {RUN_MINE} | head -1", {}, "", 1),
    ("no_home", RUN_MINE, {"HOME": ""}, "", 0),
    ("home_is_a_file", RUN_MINE, {"HOME": "/dev/null", "MPLCONFIGDIR": ""}, "", 0),
    ("cache_is_a_file", RUN_MINE, {"GEOBENCH_CACHE": "/dev/null"}, "a file lies where a folder is needed", 2),
    ("cache_is_empty", RUN_MINE, {"GEOBENCH_CACHE": ""}, "", 0),
    ("bytes_that_are_no_text", "geobench-run suite=$'\\xff\\xfe'", {}, "no suite", 2),
    ("bytes_in_a_path", "geobench-report results=$'/nowhere/\\xff'", {}, "no records below", 2),
    ("small_files_only", f"ulimit -f 8; {RUN_MINE}", {}, "grows beyond what is allowed|too large", 2),
    ("few_files_only", f"ulimit -n 64; {RUN_MINE}", {}, "", 0),
    ("gone_folder", f"mkdir gone && cd gone && rmdir ../gone && {RUN_MINE}", {}, "", 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "environment", "text", "code"), [case[1:] for case in TERMINALS], ids=[case[0] for case in TERMINALS]
)
def test_terminals_and_shells(line, environment, text, code, mine):
    done = shell(line, mine, **environment)
    message = (done.stdout + done.stderr).lower()
    assert "traceback" not in message and "exception ignored" not in message, message[-2000:]
    assert done.returncode == code, (done.returncode, message[-1500:])
    assert any(part in message for part in text.lower().split("|")), message[-1500:]


def test_hundreds_of_cases_are_tried():
    """The count that the documentation gives."""
    tables = (RUN, OTHERS, SUITES, MODELS, PLACES, WITHIN, ODD, TERMINALS, CONFIG_FILES, DAMAGES, IMAGES)
    assert sum(map(len, tables)) > 500
