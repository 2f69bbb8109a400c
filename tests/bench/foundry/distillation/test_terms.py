"""The terms of a distillation loss against independent references."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence
from torch.nn import functional

from bench.foundry.distillation.terms import feature_term, map_term, output_term, relation_term


def draws(*shape, seed=0, count=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float32) for _ in range(count)]


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_classes_agree_with_torch(temperature):
    """Reference: the formula of `timm.task.LogitDistillationTask`."""
    student, teacher = draws(5, 4)
    expected = functional.kl_div(
        functional.log_softmax(student / temperature, -1),
        functional.log_softmax(teacher / temperature, -1),
        reduction="batchmean",
        log_target=True,
    )
    term = output_term(student, teacher, "classification", temperature=temperature)
    assert term == pytest.approx(float(expected) * temperature**2, rel=1e-5)


def test_labels_agree_with_torch():
    student, teacher = draws(5, 4)
    expected = kl_divergence(Bernoulli(logits=teacher / 2), Bernoulli(logits=student / 2)).mean() * 4
    assert output_term(student, teacher, "multilabel", temperature=2) == pytest.approx(float(expected), rel=1e-5)


def test_values_are_compared_by_squared_error():
    student, teacher = draws(5, 2)
    assert output_term(student, teacher, "regression") == pytest.approx(float((student - teacher).square().mean()))


def test_gradients_scale_with_the_square_of_the_temperature():
    """At high T the gradient of T^2 KL tends to a limit (Hinton et al. 2015, equation 4)."""
    gradients = []
    for temperature in (20.0, 40.0):
        student, teacher = draws(6, 5)
        student.requires_grad_(True)
        output_term(student, teacher, "classification", temperature=temperature).backward()
        centred = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
        assert torch.allclose(student.grad, centred.detach() / (6 * 5), atol=5e-3)
        gradients.append(student.grad)
    assert torch.allclose(*gradients, atol=2e-3)


def test_ignored_pixels_add_nothing():
    student, teacher = draws(2, 3, 4, 4)
    valid = torch.ones(2, 4, 4, dtype=torch.bool)
    valid[:, 0] = False
    base = output_term(student, teacher, "segmentation", valid=valid)
    student[:, :, 0] += 100
    assert torch.equal(output_term(student, teacher, "segmentation", valid=valid), base)
    rest = output_term(student[:, :, 1:], teacher[:, :, 1:], "segmentation")
    assert base == pytest.approx(float(rest), rel=1e-5)
    assert output_term(student, teacher, "segmentation", valid=torch.zeros_like(valid)) == 0


def test_samples_without_a_teacher_add_nothing():
    student, teacher = draws(3, 4)
    teacher[1] = float("nan")
    term = output_term(student, teacher, "classification")
    assert term == pytest.approx(float(output_term(student[[0, 2]], teacher[[0, 2]], "classification")), rel=1e-5)


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression", "segmentation", "dense_regression"])
def test_equal_outputs_have_no_distance_and_teachers_get_no_gradient(kind):
    shape = (2, 3, 4, 4) if kind in ("segmentation", "dense_regression") else (2, 3)
    student, teacher = draws(*shape)
    assert float(output_term(teacher, teacher, kind).abs()) < 1e-6
    student.requires_grad_(True), teacher.requires_grad_(True)
    output_term(student, teacher, kind).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


def test_feature_terms():
    student, teacher = draws(4, 6, 3, 3)
    assert feature_term(teacher, teacher, "mse") == 0
    assert feature_term(3 * teacher, teacher, "cosine") == pytest.approx(0, abs=1e-6)
    spread = teacher.std((0, 2, 3), correction=0)[None, :, None, None]
    expected = ((student - teacher) / spread).square().mean()
    assert feature_term(student, teacher, "mse") == pytest.approx(float(expected), rel=1e-5)
    finer = teacher.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert feature_term(finer, teacher, "mse") == pytest.approx(0, abs=1e-5)


def test_relations_ignore_scale_shift_and_width():
    student, teacher = draws(5, 8)
    assert relation_term(7 * teacher + 3, teacher) == pytest.approx(0, abs=1e-4)
    wider = torch.cat([teacher, torch.zeros(5, 3)], 1)
    assert relation_term(wider, teacher) == pytest.approx(0, abs=1e-6)
    pairs = torch.cdist(student, student), torch.cdist(teacher, teacher)
    scaled = [values / (values.sum() / 20) for values in pairs]
    unit = [functional.normalize(v[None] - v[:, None], dim=2) for v in (student, teacher)]
    angles = [torch.einsum("ijd,ikd->ijk", u, u) for u in unit]
    expected = functional.smooth_l1_loss(*scaled) + 2 * functional.smooth_l1_loss(*angles)
    assert relation_term(student, teacher) == pytest.approx(float(expected), rel=1e-4)
    assert relation_term(student[:2], teacher[:2]) == 0
    same = torch.ones(4, 3, requires_grad=True)
    relation_term(same, torch.ones(4, 3)).backward()
    assert same.grad.isfinite().all()


def test_maps_are_compared_by_their_correlation():
    student, teacher = draws(2, 4, 5, 5)
    channels = [
        torch.stack([own.flatten(), other.flatten()])
        for own, other in zip(student.transpose(0, 1), teacher.transpose(0, 1), strict=True)
    ]
    expected = 1 - sum(float(torch.corrcoef(pair)[0, 1]) for pair in channels) / 4
    assert map_term([student], [teacher]) == pytest.approx(expected, rel=1e-4)
    assert map_term([5 * teacher + 2], [teacher]) == pytest.approx(0, abs=1e-6)
