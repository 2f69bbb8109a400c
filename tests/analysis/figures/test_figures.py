"""Figures read back artist by artist: what was given is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from analysis.figures.cost import Costs, Point, cost_figure, front
from analysis.figures.curves import Chart, Line, Training, calibration_figure, label_figure, training_figure
from analysis.figures.depth import depth_figure, differences
from analysis.figures.matrix import agreement_figure, scores_figure
from analysis.figures.panels import FOUND, panel_figure
from analysis.figures.profiles import Curve, Panel
from analysis.figures.ranks import bump_figure
from analysis.figures.style import COLOURS, GREY, NARROW, WIDE, saved
from analysis.figures.variance import variance_figure
from analysis.statistics.variance_components import variance_components
from tests.builders.records import TASKS, TREES, panel


def texts(axes):
    return [text.get_text() for text in axes.texts]


def curve(model, score, chosen=1):
    score = np.array(score)
    depth = np.linspace(0, 1, len(score))
    return Curve(
        model=model, origin="pretrained", parent="", depth=depth, score=score, low=score, high=score,
        chosen=chosen, last=len(score) - 1,
    )  # fmt: skip


@pytest.mark.parametrize(("direction", "sign"), [("max", 1), ("min", -1)])
def test_the_depth_heatmap_holds_score_minus_last_layer_with_a_star_at_the_choice(direction, sign):
    curves = [curve("oak", [0.5, 0.9, 0.7]), curve("elm", [0.4, 0.5, 0.6], chosen=2)]
    figure = depth_figure(
        [Panel(title="p", curves=curves)], title="t", label="accuracy", direction=direction, generated=True
    )
    axes = figure.axes[0]
    (cells,) = (collection for collection in axes.collections if isinstance(collection, PolyCollection))
    wanted = np.concatenate([sign * np.array([-0.2, 0.2, 0.0]), differences(curves[1], direction)])
    assert np.asarray(cells.get_array()) == pytest.approx(wanted)
    low, high = cells.get_clim()
    assert low == -high
    boxes = [path.get_extents() for path in cells.get_paths()]
    assert [(box.x0, box.x1) for box in boxes[:3]] == [(-0.25, 0.25), (0.25, 0.75), (0.75, 1.25)]
    assert [round((box.y0 + box.y1) / 2) for box in boxes] == [0, 0, 0, 1, 1, 1]
    (stars,) = (line for line in axes.lines if line.get_marker() == "*")
    assert list(zip(stars.get_xdata(), stars.get_ydata(), strict=True)) == [(0.5, 0), (1.0, 1)]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["oak", "elm"]
    assert "generated data" in figure.get_suptitle() and figure.get_size_inches()[0] == pytest.approx(NARROW)


def test_the_bump_chart_draws_each_rank_and_fills_the_marks_of_the_leaders():
    ranks = np.array([[1, 2, 3], [2.5, 1, 2.5]])
    leading = np.array([[True, True, False], [False, True, False]])
    figure = bump_figure(ranks, ["a\nprobe", "b\nprobe"], ["oak", "elm", "fir"], leading, title="t", generated=False)
    axes = figure.axes[0]
    drawn = [list(line.get_ydata()) for line in axes.lines if line.get_linestyle() != "None"]
    assert sorted(drawn) == sorted(ranks.T.tolist())
    filled = [line for line in axes.lines if line.get_linestyle() == "None" and line.get_markerfacecolor() != "white"]
    assert sum(len(line.get_xdata()) for line in filled) == leading.sum()
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert set(texts(axes)) == {"oak", "elm", "fir"}
    assert "generated" not in figure.get_suptitle()


def test_the_matrix_of_tau_is_lower_with_ceilings_above_and_marks_chance():
    tau = np.array([[1, 0.2, 0.9], [0.2, 1, -0.4], [0.9, -0.4, 1]])
    p = np.array([[0, 0.6, 0.01], [0.6, 0, 0.3], [0.01, 0.3, 0]])
    ceiling = np.array([[0.9, 0.8, 0.85], [0.8, 0.7, 0.75], [0.85, 0.75, np.nan]])
    figure = agreement_figure(["a", "b", "c"], tau, p, ceiling, title="t", generated=True)
    axes = figure.axes[0]
    image = axes.images[0]
    assert image.get_clim() == (-1, 1)
    values = image.get_array()
    assert values[1, 0] == 0.2 and values[2, 1] == -0.4 and values.mask[np.triu_indices(3)].all()
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written[0, 1] == ".20\nn.s." and written[0, 2] == ".90" and written[1, 2] == "-.40\nn.s."
    assert written[1, 0] == ".80" and written[0, 0] == ".90" and (2, 2) not in written
    many = np.full((12, 12), 0.3)
    crowd = agreement_figure([f"s{i}" for i in range(12)], many, many, many, title="", generated=False)
    assert ".30°" in texts(crowd.axes[0]) and crowd.get_size_inches()[0] == pytest.approx(WIDE)


def line(model, x, y, **more):
    y = np.array(y, float)
    return Line(model=model, x=np.array(x, float), y=y, low=y - 0.1, high=y + 0.1, **more)


def test_label_curves_are_on_a_logarithmic_axis_with_few_shots_apart():
    charts = [
        Chart(
            title="probe",
            lines=[line("oak", [0.1, 1], [0.5, 0.7]), line("rcf", [0.1, 1], [0.3, 0.4], control=True)],
        ),
        Chart(title="probe", lines=[line("oak", [1, 5], [0.2, 0.3])], shots=True),
    ]
    figure = label_figure(charts, title="t", label="accuracy", direction="max", generated=False)
    share, shots = figure.axes
    assert share.get_xscale() == shots.get_xscale() == "log"
    assert [tick.get_text() for tick in share.get_xticklabels()] == ["10", "100"]
    assert (share.get_xlabel(), shots.get_xlabel()) == ("% of training labels", "samples per class")
    oak = next(drawn for drawn in share.lines if drawn.get_color() == COLOURS[0])
    assert list(oak.get_ydata()) == [0.5, 0.7]
    band = share.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.4, 0.8))
    control = next(drawn for drawn in share.lines if drawn.get_color() == GREY)
    assert list(control.get_ydata()) == [0.3, 0.4] and control.is_dashed()
    assert [text.get_text() for text in figure.legends[0].texts] == ["oak", "controls"]


def test_the_pareto_front_holds_what_nothing_cheaper_beats():
    cost, score = np.array([1, 2, 3, 4, 2]), np.array([0.5, 0.7, 0.6, 0.9, 0.65])
    assert front(cost, score).tolist() == [0, 1, 3]
    assert front(np.array([2.0, 1.0]), np.array([0.5, 0.5])).tolist() == [1]


@pytest.mark.parametrize(("direction", "named"), [("max", {"oak", "fir"}), ("min", {"oak", "elm"})])
def test_costs_are_drawn_where_they_lie_and_the_front_is_named(direction, named):
    points = [
        Point(model=model, setting="probe", cost=cost, score=score, low=score - 0.05, high=score + 0.05)
        for model, cost, score in (("oak", 1e6, 0.5), ("elm", 1e7, 0.4), ("fir", 1e8, 0.8))
    ]
    panel = Costs(label="parameters", points=points)
    figure = cost_figure([panel], title="t", label="accuracy", direction=direction, generated=False)
    axes = figure.axes[0]
    (marks,) = (drawn for drawn in axes.lines if drawn.get_marker() == "o")
    assert sorted(zip(marks.get_xdata(), marks.get_ydata(), strict=True)) == [(1e6, 0.5), (1e7, 0.4), (1e8, 0.8)]
    assert set(texts(axes)) == named and axes.get_xscale() == "log"


def test_reliability_is_accuracy_over_confidence_beside_the_diagonal():
    curve = line("oak", [0.5, 0.9], [0.6, 0.8], weight=np.array([0.25, 0.75]))
    figure = calibration_figure([Chart(title="probe", lines=[curve])], title="t", generated=False)
    axes = figure.axes[0]
    drawn = [(list(each.get_xdata()), list(each.get_ydata())) for each in axes.lines]
    assert ([0, 1], [0, 1]) in drawn and ([0.5, 0.9], [0.6, 0.8]) in drawn
    sizes = axes.collections[-1].get_sizes()
    assert sizes[1] > 2 * sizes[0]


def test_training_draws_every_rate_and_stars_the_checkpoint_chosen():
    history = np.full((2, 3, 3), np.nan)
    history[0] = [[10, 1.0, 0.3], [20, 0.5, 0.6], [30, 0.4, 0.5]]
    history[1, :2] = [[10, 2.0, 0.1], [20, 3.0, 0.2]]
    figure = training_figure(
        [Training(title="linear, full, last", history=history, rate=0.001)], title="t", label="mIoU", generated=True
    )
    loss, score = figure.axes
    assert list(loss.lines[0].get_ydata()) == [1.0, 0.5, 0.4]
    star = next(drawn for drawn in score.lines if drawn.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (20, 0.6)
    assert loss.lines[0].get_color() == COLOURS[0] and loss.lines[1].get_color() != COLOURS[0]
    assert texts(score) == ["rate 0.001"]


def test_a_table_of_scores_is_drawn_with_its_numbers():
    values = np.array([[0.5, 0.25], [np.nan, 1.0]])
    figure = scores_figure(
        values, rows=["oak", "elm"], columns=["land", "water"], title="t", label="IoU", generated=False
    )
    axes = figure.axes[0]
    assert texts(axes) == ["0.50", "0.25", "1.00"]
    assert axes.images[0].get_array().mask.tolist() == [[False, False], [True, False]]


def test_variance_components_are_points_with_two_intervals():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 0.1, (4, 2, 3)) + np.arange(4)[:, None, None]
    draws = scores + rng.normal(0, 0.05, (50, *scores.shape))
    parts = variance_components(scores, ("model", "decoder"), draws=draws, rng=rng)
    figure = variance_figure({"water": parts}, title="t", generated=False)
    axes = figure.axes[0]
    points = [(drawn.get_xdata()[0], drawn.get_ydata()[0]) for drawn in axes.lines if drawn.get_marker() == "o"]
    assert points == [(pytest.approx(part.share), row) for row, part in enumerate(parts)]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [part.effect for part in parts]
    thick = [drawn for drawn in axes.lines if drawn.get_linewidth() > 2]
    assert len(thick) == len(parts) and list(thick[0].get_xdata()) == [parts[0].draw_low, parts[0].draw_high]


def test_panels_of_masks_show_input_truth_prediction_and_error_worst_first():
    arrays = panel(TASKS[2])
    figure = panel_figure(arrays, kind="segmentation", classes=("land", "water"), title="t", generated=True)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 6 * 4
    row = shown[:4] if shown[0].get_ylabel() == "error 0.90" else None
    assert row is not None
    assert np.array_equal(row[0].images[0].get_array(), np.moveaxis(arrays["panel.image"][0], 0, -1))
    assert np.array_equal(row[1].images[0].get_array(), arrays["panel.target"][0])
    assert np.array_equal(row[2].images[0].get_array(), arrays["panel.prediction"][0])
    wrong = arrays["panel.target"][0] != arrays["panel.prediction"][0]
    assert np.array_equal(row[3].images[0].get_array(), wrong)
    assert [axes.get_title(loc="left") for axes in row] == ["input", "truth", "prediction", "error"]


def test_pixels_without_a_true_class_stay_white():
    arrays = panel(TASKS[2], images=1)
    arrays["panel.target"][0, :5] = -1
    figure = panel_figure(arrays, kind="segmentation", classes=("land", "water"), title="t", generated=False)
    masks = [axes.images[0].get_array().mask for axes in figure.axes[1:4]]
    assert all(mask[:5].all() and not mask[5:].any() for mask in masks)


def test_panels_of_boxes_show_the_true_ones_and_the_sure_ones_with_scores():
    arrays = panel(TREES, images=2)
    arrays["panel.boxes"] = np.array(
        [[0, 5, 6, 20, 22, -1, 0], [0, 6, 6, 21, 22, 0.9, 0], [0, 1, 1, 9, 9, 0.1, 1]], np.float32
    )
    figure = panel_figure(arrays, kind="detection", classes=("palm", "pine"), title="t", generated=False)
    truth, prediction = figure.axes[:2]
    boxes = [[patch for patch in axes.patches if isinstance(patch, Rectangle)] for axes in (truth, prediction)]
    assert [len(each) for each in boxes] == [2, 2]  # each box has a dark rim
    assert boxes[1][1].get_xy() == (6, 6) and boxes[1][1].get_width() == 15
    assert texts(truth) == ["palm"] and texts(prediction) == ["palm 0.90"]
    assert prediction.texts[0].get_bbox_patch().get_facecolor()[:3] == pytest.approx(
        [int(FOUND[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    )


def test_panels_of_classes_name_truth_and_prediction():
    arrays = panel(TASKS[0])
    figure = panel_figure(arrays, kind="classification", classes=TASKS[0].classes, title="t", generated=False)
    first = figure.axes[0]
    truth, predicted = (TASKS[0].classes[arrays[f"panel.{name}"][0]] for name in ("target", "prediction"))
    assert (
        first.get_title(loc="left") == f"true: {truth}\npredicted: {predicted}" and first.get_xlabel() == "error 0.90"
    )


def test_bytes_do_not_depend_on_the_hour_nor_on_which_format_came_first():
    def draw():
        charts = [Chart(title="probe", lines=[line("oak", [0.1, 1], [0.5, 0.7])])]
        return label_figure(charts, title="t", label="a", direction="max", generated=False)

    first, second = draw(), draw()
    png, pdf = saved(first, "png"), saved(first, "pdf")
    assert (saved(second, "png"), saved(second, "pdf")) == (png, pdf)
    assert b"/Type3" not in pdf and b"CreationDate" not in pdf and b"/FontFile2" in pdf
