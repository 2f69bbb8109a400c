"""Groups of runs: what is claimed as one, and parts of a sweep."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.runs.groups import Part, groups_of, part_of
from tests.builders.stored import key


def run(model: str, protocol: str = "probe", seed: int = 0, *, trains: bool = False):
    """Return what groups look at of a run."""
    identity = key(model=model, protocol=protocol, seed=seed)
    noun = SimpleNamespace(runs_network=trains, reads_labels=True)
    bands = (SimpleNamespace(name="s2.b04"),)
    return SimpleNamespace(key=identity, protocol=noun, recipe=SimpleNamespace(bands=bands))


def test_runs_that_share_a_model_are_one_group_and_trained_runs_are_their_own():
    runs = [
        run("a"),
        run("a", "knn"),
        run("b"),
        run("a", "finetune", trains=True),
        run("a", "finetune", 1, trains=True),
    ]
    groups = groups_of(runs)
    assert [len(group.runs) for group in groups] == [2, 1, 1, 1]
    assert len({group.name for group in groups}) == 4


def test_a_group_has_the_same_name_in_every_plan():
    whole, other = groups_of([run("a"), run("a", "knn"), run("b")]), groups_of([run("a", "knn")])
    assert other[0].name == whole[0].name != whole[1].name


@pytest.mark.parametrize("parts", [1, 2, 3, 16])
def test_parts_are_disjoint_and_together_the_whole(parts):
    models = [f"m{number}" for number in range(11)]
    runs = [run(model, protocol) for model in models for protocol in ("probe", "knn")]
    runs += [run(model, "finetune", seed, trains=True) for model in models for seed in (0, 1, 2)]
    split = [part_of(runs, Part(number, parts), models) for number in range(1, parts + 1)]
    digests = [[member.key.digest for member in part] for part in split]
    assert sorted(digest for part in digests for digest in part) == sorted(member.key.digest for member in runs)
    sizes = [len(groups_of(part)) for part in split]
    assert max(sizes) - min(sizes) <= 4


def test_parts_do_not_depend_on_the_weights_at_hand():
    models = ["a", "b", "c", "d"]
    runs = [run(model) for model in models]
    for number in (1, 2):
        whole = part_of(runs, Part(number, 2), models)
        without = part_of([member for member in runs if member.key.model != "b"], Part(number, 2), models)
        assert [member.key.model for member in without] == [
            member.key.model for member in whole if member.key.model != "b"
        ]


def test_parts_are_read():
    assert Part.read("3/16") == Part(3, 16)
