"""A judgement: arms as they should be, a record per arm, tuning and seed, the test split read after every choice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from analysis.report.generation import write_report
from bench.config import validate
from bench.foundry.generation import judgement
from bench.foundry.generation.arms import Request, candidates, learned
from bench.foundry.generation.codes import codebook
from bench.foundry.generation.conditions import Condition
from bench.foundry.generation.lineages import load_lineage
from bench.foundry.judge import RECIPE
from bench.store import Store
from tests.builders.zoos import make_zoo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOBENCH_CACHE", str(folder / "cache"))
        make_zoo(folder)
    return folder


@pytest.fixture(scope="module")
def request_of(folder):
    lineage = load_lineage(folder / "zoo")
    book = codebook(lineage.deltas)
    return Request(
        lineage=lineage,
        book=book,
        samplers=learned(lineage, book),
        condition=Condition(classes=(0, 1)),
        prompt=lineage.base,
        scratch=lambda seed: lineage.base * 0,
        count=2,
        refine_steps=1,
        refine_rate=0.1,
    )


def weights(arm, request, seed=0):
    return candidates(arm, request, seed, SimpleNamespace(), SimpleNamespace())


def test_noise_is_as_long_as_the_members_in_every_tensor(request_of):
    lineage = request_of.lineage
    first, second = (vector - lineage.base for vector in weights("noise", request_of))
    assert not torch.equal(first, second)
    members = [lineage.layout.split(delta) for delta in lineage.deltas]
    for name, part in lineage.layout.split(first).items():
        wanted = torch.stack([member[name].norm() for member in members]).mean()
        assert float(part.norm()) == pytest.approx(float(wanted), rel=1e-3)


def test_controls_are_what_they_are_called(request_of):
    lineage = request_of.lineage
    assert torch.equal(weights("trunk", request_of)[0], lineage.base)
    assert torch.allclose(weights("average", request_of)[0], lineage.base + lineage.deltas.mean(0))
    assert len(weights("best_member", request_of)) == len(lineage.members)
    shuffled = lineage.layout.split(weights("shuffled", request_of)[0])
    code = weights("shuffled", request_of)[0]
    assert torch.equal(code, weights("shuffled", request_of)[0])
    assert not torch.equal(code, weights("shuffled", request_of, seed=1)[0])
    assert all(bool(part.isfinite().all()) for part in shuffled.values())


def test_records_of_every_arm_are_left_and_a_rerun_adds_none(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(judgement, "ARMS", ("trunk", "nearest", "conditional", "refined"))
    opened = []
    real = judgement.Judgement._whole
    monkeypatch.setattr(judgement.Judgement, "_whole", lambda self, split: opened.append(split) or real(self, split))
    chosen = judgement.Judgement._measured
    monkeypatch.setattr(judgement.Judgement, "_measured", lambda *given: opened.append("candidate") or chosen(*given))
    words = {
        "zoo": folder / "zoo", "suite": "demo", "task": "landcover", "request": "classes:0.1", "seeds": [0, 1],
        "reserve": 30, "shots": 4, "n": 2, "test_images": 40, "steps": 1, "refine_steps": 1,
    }  # fmt: skip
    settings = validate(RECIPE.settings, words)
    lines = []
    place = RECIPE.run(settings, data=tmp_path, out=tmp_path, progress=lines.append)
    records = list(Store(place.parent).records(place.name))
    assert len(records) == 2 * 2 * 4 and {record.facts["arm"]["tuning"] for record in records} == {
        "frozen",
        "finetuned",
    }
    assert all(record.facts["generated"] and record.key.subset == record.key.seed for record in records)
    assert any("trained on classes of the request" in line for line in lines)
    first_arm = opened[: opened.index("test")]
    assert "candidate" in first_arm  # candidates were measured and chosen before the test split was opened
    times = {path: path.stat().st_mtime_ns for path in (place / "records").glob("*.json")}
    RECIPE.run(settings, data=tmp_path, out=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (place / "records").glob("*.json")} == times
    report = write_report(place).read_text()
    assert "2 seeds are too few" in report and "Generated data" in report and "Dispersion ratios" in report
