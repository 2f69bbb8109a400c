"""Why runs would fail, as far as the data and the weights at hand tell before anything runs."""

from __future__ import annotations

from bench.catalogue.weights import WeightSources
from bench.core import ModelEntry, Task
from bench.core.errors import Incompatible, MissingData, MissingWeights
from bench.features.ready_made import check_ids
from bench.input.recipe import InputRecipe
from bench.input.splits import LEARNING, Splits


class Foreseen:
    """Answers why the runs of a model on a task would fail, for `bench.runs.plan.make`.

    Checked are files of ready-made embeddings: that they can be read, and have an embedding for every sample.

    Args:
        data: the suite's splits, or None where its files are not at hand.
        shelf: where the file of an entry is.
    """

    def __init__(self, data: Splits | None, shelf: WeightSources) -> None:
        self._data, self._shelf = data, shelf

    def __call__(self, entry: ModelEntry, task: Task, recipe: InputRecipe) -> str:
        """Return the reason, or ``""`` where none is known."""
        if not entry.vectors or self._data is None:
            return ""
        try:
            path = self._shelf.find(entry)
            names = (*LEARNING, *self._data.test_names(task, recipe.reads))
            ids = {name: list(self._data.split(task, name, recipe.reads).ids) for name in names}
            assert path is not None
            check_ids(path, ids)
        except MissingData:
            return ""  # the plan names data that are missing
        except (Incompatible, MissingWeights) as error:
            return str(error)
        return ""
