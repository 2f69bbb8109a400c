"""Score against what a network costs to run, with the Pareto front, for the arms of a compression study."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from analysis.figures.cost import Costs, cost_figure
from analysis.figures.profiles import MARKERS
from analysis.figures.style import COLOURS, WIDE, canvas, headed, style


def pareto_figure(panels: Sequence[Costs], *, title: str, label: str, direction: str, generated: bool) -> Figure:
    """Return score against each cost, the front as steps: arms that no cheaper arm beats.

    Args:
        panels: one per cost; families of arms are the settings of their points.
        title: of the figure.
        label: of the score.
        direction: ``max`` or ``min``.
        generated: whether the data were made by a program, which the title then states.
    """
    return cost_figure(panels, title=title, label=label, direction=direction, generated=generated)


def likeness_figure(
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, title: str, generated: bool
) -> Figure:
    """Return the similarity of arms to their teacher over relative depth.

    Args:
        curves: name and (depth, CKA) of each arm.
        title: of the figure.
        generated: whether the data were made by a program.
    """
    with style():
        figure = canvas(WIDE, 2.6 + 0.14 * -(-len(curves) // 4))
        axes = figure.subplots()
        for place, (name, points) in enumerate(curves):
            axes.plot(
                [depth for depth, _ in points],
                [value for _, value in points],
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place // len(COLOURS) % len(MARKERS)],
                linestyle=("-", "--", ":")[place // len(COLOURS) % 3],
                markersize=3,
                linewidth=1,
                label=name,
            )
        axes.set_xlabel("relative depth")
        axes.set_ylabel("CKA with the teacher")
        axes.set_ylim(min(value for _, points in curves for _, value in points) - 0.05, 1.03)
        headed(figure, title, generated=generated)
        figure.legend(loc="outside lower center", ncols=4, handlelength=1.8)
    return figure
