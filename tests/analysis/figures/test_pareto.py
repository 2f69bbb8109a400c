"""The Pareto front against a search over all pairs."""

from __future__ import annotations

import numpy as np

from analysis.figures.cost import Costs, Point, front
from analysis.figures.pareto import likeness_figure, pareto_figure


def test_the_front_is_what_no_other_point_beats():
    generator = np.random.default_rng(0)
    for _ in range(50):
        cost, score = generator.integers(1, 9, 20).astype(float), generator.integers(0, 9, 20).astype(float)
        beaten = [
            any(
                cost[j] <= cost[i] and score[j] >= score[i] and (cost[j] < cost[i] or score[j] > score[i])
                for j in range(20)
            )
            for i in range(20)
        ]
        free = {(cost[i], score[i]) for i in range(20) if not beaten[i]}
        assert {(cost[i], score[i]) for i in front(cost, score)} == free


def test_figures_are_drawn_and_state_generated_data():
    point = Point(model="student 0.5", setting="student", cost=2.0, score=0.5, low=0.4, high=0.6)
    figure = pareto_figure(
        [Costs(label="weights", points=[point])], title="t", label="accuracy", direction="max", generated=True
    )
    assert any("generated data" in text.get_text() for text in figure.findobj() if hasattr(text, "get_text"))
    lines = likeness_figure([("student", [(0.0, 1.0), (1.0, 0.5)])], title="t", generated=False)
    assert len(lines.axes[0].lines) == 1
