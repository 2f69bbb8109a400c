"""Reports: the same bytes from the same records, figures read back artist by artist, pages that stand alone."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from analysis.figures.profiles import NORM_OFFSET, Curve, Panel, inks, limits, profile_figure
from analysis.figures.style import COLOURS, saved, visible_range
from analysis.report.boards import boards, terminal_table
from analysis.report.escaping import latex_text
from analysis.report.write import build, write_report, write_reports
from analysis.tables.formatting import count, number
from bench.core.errors import MissingData
from bench.store import Store
from tests.builders.records import MODELS, TASKS, MemorySource, make, orchard

ALDER = MODELS[0]


@pytest.fixture(scope="module")
def source():
    return orchard()


@pytest.fixture(scope="module")
def report(source):
    return build(source, "orchard")


@pytest.fixture(scope="module")
def text(report):
    return {name: content.decode() for name, content in report.files.items() if not name.endswith((".png", ".pdf"))}


def small(suite="grove", generated=False):
    source = MemorySource()
    for model in MODELS[:2]:
        record, arrays = make(model, TASKS[0], suite=suite)
        source.put(replace(record, facts=dict(record.facts) | {"generated": generated}), arrays)
    return source


def test_the_promised_files_are_written_and_a_second_report_leaves_them_alone(tmp_path):
    paths = write_report(small(), tmp_path, "grove")
    names = {path.relative_to(tmp_path / "grove").as_posix() for path in paths}
    assert names == {
        *(f"leaderboard.{kind}" for kind in ("csv", "md", "tex", "html")),
        *(
            f"{figure}_landcover.{kind}"
            for figure in ("layer_profile", "calibration", "classes")
            for kind in ("pdf", "png", "csv")
        ),
        "layers.csv",
    }
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
    assert write_report(small(), tmp_path, "grove") == paths
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
    assert not list(tmp_path.rglob("*.part"))


def test_another_process_writes_the_same_bytes_and_imports_no_torch(tmp_path):
    store = Store(tmp_path / "results")
    held = small()
    for record in held.records():
        store.put(record, held.arrays(record))
    paths = write_report(store, tmp_path / "here", "grove")
    script = (
        "import sys; from pathlib import Path; from bench.store import Store; import analysis.report.write;"
        "analysis.report.write.write_report(Store(Path(sys.argv[1])), Path(sys.argv[2]), 'grove');"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "results"), str(tmp_path / "there")],
        env=os.environ | {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=120,
    )
    assert done.returncode == 0
    for path in paths:
        assert path.read_bytes() == (tmp_path / "there" / path.relative_to(tmp_path / "here")).read_bytes(), path.name


def test_csv_holds_every_row_with_its_records(report, text, source):
    frame = pd.read_csv(io.StringIO(text["leaderboard.csv"]), keep_default_na=False)
    assert len(frame) == len(report.tables.leaderboard)
    digests = {digest for row in frame["record"] for digest in row.split()}
    assert digests == {record.digest for record in source.records() if record.status == "ok"}
    assert frame["score"].astype(float).to_numpy() == pytest.approx(report.tables.leaderboard["score"], rel=1e-5)


def test_generated_data_is_said_on_every_output(text, report):
    assert "**generated data**" in text["leaderboard.md"]
    assert text["leaderboard.tex"].count("Generated data.") == 4
    assert "generated data" in text["leaderboard.html"]
    assert report.tables.leaderboard["generated"].all()
    assert report.tables.layers["generated"].all()
    assert "generated data" in printed(terminal_table(report.tables.leaderboard, title="orchard"))
    real = build(small(generated=False), "grove")
    for name in ("leaderboard.md", "leaderboard.tex", "leaderboard.html"):
        assert "generated data" not in real.files[name].decode().lower()


def printed(table):
    console = Console(width=180, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def test_markdown_marks_the_best_and_those_tied_with_it(text, report):
    section = text["leaderboard.md"].split("## landcover")[1].split("## water")[0]
    lines = {line.split("|")[1].strip(" †"): line for line in section.split("### by")[0].splitlines() if "|" in line}
    rows = report.tables.leaderboard.query(
        "task=='landcover' and protocol=='probe' and fraction==1 and layer=='best-on-val'"
    )
    for row in rows.to_dict("records"):
        cell = lines[row["model"]].split("|")[4]
        assert f"{row['score']:.3f}" in cell
        assert f"[{row['low']:.3f}, {row['high']:.3f}]" in cell
        assert ("**" in cell) == (row["standing"] == "best")
        assert ("≈" in cell) == (row["standing"] == "tie")
    assert "accuracy ↑" in text["leaderboard.md"]
    assert "RMSE (t/ha) ↓" in text["leaderboard.md"]


def test_markdown_tells_exposure_failures_notes_and_how_to_run_it_again(text):
    markdown = text["leaderboard.md"]
    assert "| birch_small † |" in markdown
    assert "†: images or labels of this dataset were in the model's training data." in markdown
    assert "| landcover | dogwood_base | probe | 100 % | 0 | ValueError: block_3 is NaN |" in markdown
    assert "```\ngeobench-run suite=orchard\n```" in markdown
    assert "Holm's correction over all groups" in markdown


def test_markdown_has_a_column_a_label_fraction_for_every_protocol_that_has_several():
    source = MemorySource()
    source.put(*make(ALDER, TASKS[0], suite="grove"))
    for fraction in (0.1, 0.25, 1.0):
        source.put(*make(ALDER, TASKS[0], suite="grove", protocol="knn", fraction=fraction))
    markdown = build(source, "grove").files["leaderboard.md"].decode()
    assert "| model | 10 % | 25 % | 100 % |" in markdown.split("### by label fraction (knn, best-on-val)")[1]
    assert "by label fraction (probe" not in markdown


def test_a_board_orders_models_by_the_headline_setting(report):
    board = next(b for b in boards(report.tables.leaderboard) if b.task == "landcover" and b.fraction == 1)
    assert board.settings == [("probe", "best-on-val"), ("probe", "last"), ("knn", "best-on-val"), ("knn", "last")]
    scores = [line.entries[board.settings[0]]["score"] for line in board.rows]
    assert scores == sorted(scores, reverse=True)


def test_latex_is_balanced_and_escaped(text):
    tex = text["leaderboard.tex"]
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == tex.count(r"\bottomrule") == 4
    body = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert not [line for line in body if re.search(r"(?<!\\)[_%#]", line)]
    for table in tex.split(r"\begin{tabular}")[1:]:
        columns = len(re.match(r"\{(\w+)\}", table).group(1))
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {line.count(" & ") for line in rows} == {columns - 1}
    assert latex_text("a_b & 5 % {x} \\") == r"a\_b \& 5 \% \{x\} \textbackslash{}"
    assert tex.isascii()


class Page(HTMLParser):
    VOID = ("meta", "img", "input", "line", "circle", "br", "option", "link")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.rows = [], [], 0

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.links += [given[name] for name in ("src", "href") if name in given]
        self.rows += tag == "tr" and "data-protocol" in given
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_holds_every_row(text, report):
    page = Page()
    page.feed(text["leaderboard.html"])
    assert page.open == []
    assert page.rows == len(report.tables.leaderboard)
    outside = [link for link in page.links if not link.startswith(("data:image/png;base64,", "#"))]
    assert set(outside) <= {*report.files, "../index.html"}
    assert not re.search(r"@import|url\(|https?://", text["leaderboard.html"])
    assert sum(link.startswith("data:") for link in page.links) == len(report.contents.pictures)


def test_names_cannot_break_out_of_the_page():
    record, arrays = make(ALDER, TASKS[0], suite="grove")
    source = MemorySource()
    source.put(replace(record, notes=("<script>alert(1)</script> | a",)), arrays)
    files = build(source, "grove").files
    assert b"<script>alert" not in files["leaderboard.html"]
    assert b"&lt;script&gt;alert" in files["leaderboard.html"]


def curve(model, score, *, chosen=1, origin="pretrained", parent="", depth=(0.0, 0.5, 1.0, 1.0)):
    score = np.array(score)
    return Curve(
        model=model, origin=origin, parent=parent, depth=np.array(depth), score=score, low=score - 0.1,
        high=score + 0.1, chosen=chosen, last=len(score) - 1,
    )  # fmt: skip


def test_a_profile_draws_what_it_was_given():
    curves = [
        curve("oak", [0.5, 0.8, 0.7, 0.6]),
        curve("oak.random", [0.3, 0.2, 0.2, 0.1], origin="random", parent="oak"),
        curve("rcf", [0.4], chosen=0, origin="baseline", depth=(1.0,)),
    ]
    figure = profile_figure(
        [Panel(title="p", curves=curves)], title="t", label="accuracy", direction="max", generated=True
    )
    axes = figure.axes[0]
    lines = list(axes.lines)
    oak = next(line for line in lines if list(line.get_ydata()) == [0.5, 0.8, 0.7, 0.6])
    assert list(oak.get_xdata()) == pytest.approx([0, 0.5, 1, 1 + NORM_OFFSET])
    star = next(line for line in lines if line.get_marker() == "*")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([0.5], [0.8])
    dashed = next(line for line in lines if list(line.get_ydata()) == [0.6, 0.6])
    assert list(dashed.get_xdata()) == pytest.approx([0.5, 1 + NORM_OFFSET])
    twin = next(line for line in lines if list(line.get_ydata()) == [0.3, 0.2, 0.2, 0.1])
    assert twin.get_color() == oak.get_color() == star.get_color() == dashed.get_color()
    assert twin.get_alpha() < 1
    assert twin.is_dashed()
    assert [0.4, 0.4] in [list(line.get_ydata()) for line in lines]
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.4, 0.9))
    assert "generated data" in figure.get_suptitle()
    assert figure.get_size_inches()[0] == pytest.approx(3.3)


def test_of_many_models_the_best_are_coloured_and_the_rest_counted():
    curves = [curve(f"m{i:02d}", [0.2, 0.3 + i / 40, 0.3, 0.2]) for i in range(12)]
    ink = inks(curves, "max")
    assert set(ink.colour) == {f"m{i:02d}" for i in range(5, 12)}
    assert set(inks(curves, "min").colour) == {f"m{i:02d}" for i in range(7)}
    assert len({*map(to_hex, ink.colour.values())}) == len(COLOURS) == len(set(ink.marker.values()))
    figure = profile_figure([Panel(title="", curves=curves)], title="", label="", direction="max", generated=False)
    assert "5 further models" in [entry.get_text() for entry in figure.legends[0].texts]


def test_one_collapsed_layer_does_not_flatten_the_figure():
    low, high = limits([curve("oak", [-50.0, 0.6, 0.5, 0.4]), curve("elm", [0.1, 0.5, 0.5, np.nan])])
    assert -0.5 < low < 0.1
    assert 0.7 < high < 0.9
    low, high = limits([curve("oak", [0.5, 0.8, 0.7, 0.6])])
    assert low < 0.4 and high > 0.9


def test_one_collapsed_model_does_not_flatten_the_figure_nor_the_table():
    scores = np.array([0.42, 0.5, 0.55, 0.4, -3.7])
    low, high = visible_range(scores, scores - 0.1, scores + 0.1)
    assert -0.2 < low < 0.2 and 0.65 < high < 0.75
    errors = np.array([24.0, 25.0, 26.0, 27.0, 400.0])
    low, high = visible_range(errors, np.full(5, np.nan), np.full(5, np.nan))
    assert 20 < low < 24 and 27 < high < 60
    near = np.array([0.01, -0.01, 0.02])
    assert visible_range(near, near - 0.1, near + 0.1)[0] < -0.11
    assert visible_range(np.array([np.nan]), np.array([np.nan]), np.array([np.nan])) == (0.0, 1.0)


@pytest.mark.parametrize("panels", [1, 2, 3, 4, 5])
def test_legend_titles_and_panels_overlap_nothing(panels):
    curves = [curve(f"model_with_a_name_{i}", [0.5, 0.8, 0.7, 0.6]) for i in range(7)]
    panels_drawn = [Panel(title=f"panel {i}", curves=curves) for i in range(panels)]
    figure = profile_figure(panels_drawn, title="suite, task", label="accuracy", direction="max", generated=True)
    saved(figure, "png")
    drawn = figure.canvas.get_renderer()
    legend = figure.legends[0].get_window_extent(drawn)
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == panels
    boxes = [axes.get_tightbbox(drawn) for axes in visible]
    assert not any(legend.overlaps(box) for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert not any(figure._suptitle.get_window_extent(drawn).overlaps(box) for box in boxes)
    whole = figure.bbox
    assert legend.x0 >= whole.x0 - 1 and legend.x1 <= whole.x1 + 1 and legend.y0 >= whole.y0 - 1


def test_figures_carry_no_date_and_no_type_3_font(report):
    pdf = report.files["layer_profile_water.pdf"]
    assert b"CreationDate" not in pdf
    assert b"/Type3" not in pdf
    assert b"/CIDFontType2" in pdf
    png = report.files["layer_profile_water.png"]
    assert b"tIME" not in png
    assert b"Software" not in png


def test_every_suite_gets_a_page_and_the_index_links_it(tmp_path):
    source = small("grove")
    source.held |= small("meadow", generated=True).held
    paths = write_reports(source, tmp_path)
    assert paths[-1] == tmp_path / "index.html"
    page = Page()
    page.feed(paths[-1].read_text())
    assert page.open == []
    outside = {link for link in page.links if not link.startswith(("#", "data:image/png;base64,"))}
    assert outside == {"grove/leaderboard.html", "meadow/leaderboard.html"}
    assert all((tmp_path / link).exists() for link in outside)
    pngs = [path for path in paths if path.suffix == ".png"]
    assert sum(link.startswith("data:") for link in page.links) == len(pngs)
    text = paths[-1].read_text()
    assert text.count("generated data") == 1
    assert not re.search(r"@import|url\(|https?://", text)
    assert text.count("geobench-run suite=grove") and "5f" * 32 in text and "ab" * 32 in text


def test_a_suite_of_failures_alone_still_has_a_report(tmp_path):
    record, _ = make(ALDER, TASKS[0], suite="grove")
    source = MemorySource()
    source.put(replace(record, status="failed", scores={}, choices={}, curves=(), error="OSError: gone"), {})
    write_report(source, tmp_path, "grove")
    assert "OSError: gone" in (tmp_path / "grove" / "leaderboard.md").read_text()


def test_no_records_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(MissingData, match="geobench-run suite=meadow"):
        write_report(small("grove"), tmp_path, "meadow")
    with pytest.raises(MissingData, match="results="):
        write_reports(MemorySource(), tmp_path)


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (40_000, "40 k"), (86_600_000, "86.6 M"), (1.2e9, "1.2 B"), (999, "999")]
)
def test_parameter_counts_read_as_people_write_them(value, shown):
    assert count(value) == shown


def test_numbers_have_no_negative_zero_and_missing_ones_a_dash():
    assert number(-0.0001, 3) == "0.000"
    assert number(float("nan"), 3) == "-"
