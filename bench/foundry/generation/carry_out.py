"""Generation carried out: a lineage, its codes, candidates ranked on validation, and the entries that are kept."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from bench.catalogue.cards import Card, write_entry
from bench.core import lookup
from bench.core.errors import Incompatible
from bench.foundry.contract.resolved import lineage as inherited_fields
from bench.foundry.contract.workbench import open_task
from bench.foundry.generation.behaviour import Behaviour, feature_loss, prototype_loss, refine
from bench.foundry.generation.codes import Codebook, codebook, dispersion, spectrum
from bench.foundry.generation.conditions import Condition, conditioned, read_condition
from bench.foundry.generation.images import PreparedWorkbench, features, measure_statistics, validation_score
from bench.foundry.generation.lineages import UNRELATED, Lineage, load_lineage, prompt_of
from bench.foundry.generation.settings import GenerateSettings
from bench.foundry.generators.contract.generator import Generator
from bench.input.batches import Examples
from bench.input.splits import Splits
from bench.networks.batch_norms import is_statistic, statistics_of
from bench.networks.tapped import TappedNetwork
from bench.store import FeatureCache, default_cache

Report = Callable[[str], None]
FLAT = 2.0  # first eigenvalue over median up to which a spectrum is that of independent members
SPREAD_SAMPLES = 64  # codes drawn for the dispersion ratio
LEAST_GENERATED = 0.99
TEACHERS = 3  # nearest members whose mean features are the target of ``refine=features``


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A generated network.

    Attributes:
        code: (k,) it was decoded from.
        network: with batch norms measured on images.
        score: on validation.
        images: that its batch norms were measured on.
    """

    code: Tensor
    network: TappedNetwork
    score: float
    images: int


def generate_entries(settings: GenerateSettings, *, data: Path, out: Path, device: str, report: Report) -> Path:
    """Generate entries and return the path of the best one's weights; see `bench.foundry.generate.run`."""
    started = time.perf_counter()
    lineage = load_lineage(settings.folder, weights=settings.weights, entries=settings.entries)
    for note in lineage.notes:
        report(note)
    prompt, cosine = prompt_of(settings.prompt, lineage, weights=settings.weights, entries=settings.entries)
    notes = [f"left out of the collection: {note}" for note in lineage.notes]
    if cosine < UNRELATED:
        notes.append(
            f"the prompt {settings.prompt} is unlike anything in the collection: its row-normalised cosine to the "
            f"nearest network is {cosine:.3f}, below {UNRELATED:g}; deltas of another lineage mean nothing to it"
        )
        report(f"warning: {notes[-1]}")
    book = codebook(lineage.deltas, settings.components)
    figures = spectrum(lineage.deltas, book)
    report(spectrum_text(figures, len(lineage.members)))
    condition = read_condition(settings.condition)
    bench = workbench(settings.suite, settings.task, settings.bands, lineage, condition, data, out, device)
    labelled = dataclasses.replace(bench.data, labels=settings.labels, subset=settings.subset)
    bench = dataclasses.replace(bench, data=labelled)
    noise = torch.Generator().manual_seed(settings.seed)
    codes, ratio = sampled(settings.generator, lineage, book, condition, settings.n, settings.seed, noise)
    figures["dispersion"] = ratio
    report(f"dispersion ratio of {settings.generator}: {ratio:.2f}")
    if settings.refine != "none":
        codes = torch.stack(
            [_refined(code, settings, lineage, book, prompt, bench, condition, noise) for code in codes]
        )
    ranked = sorted(
        (candidate(code, prompt, lineage, book, bench, settings) for code in codes), key=lambda scored: -scored.score
    )
    report(f"validation: best {ranked[0].score:.4f}, worst {ranked[-1].score:.4f} of {len(ranked)}")
    paths = []
    for place, chosen in enumerate(ranked[: settings.keep]):
        scores = {"validation": chosen.score, "rank": float(place)} | figures
        cost = {"seconds": round(time.perf_counter() - started, 1), "candidates": float(settings.n)}
        paths.append(_write(chosen, place, settings, lineage, prompt, bench, out, notes, scores, cost))
    return paths[0]


def workbench(
    suite_name: str,
    task_name: str,
    bands: tuple[str, ...],
    lineage: Lineage,
    condition: Condition,
    data: Path,
    folder: Path,
    device: str,
) -> PreparedWorkbench:
    """Return the workbench of a task under a condition; its network is the trunk's."""
    task_data = open_task(suite_name, task_name, bands, data)
    suite, task = conditioned(task_data.suite, task_data.task, condition)
    task_data = dataclasses.replace(task_data, suite=suite, task=task, splits=Splits(suite=suite, root=data))
    return PreparedWorkbench(
        entry=lineage.trunk.entry,
        data=task_data,
        network=lambda scratch: lineage.with_weights(lineage.base),
        folder=folder / ".ranking",
        cache=FeatureCache(default_cache()),
        device=device,
    )


def spectrum_text(figures: dict[str, float], members: int) -> str:
    """Return in words whether there is structure to learn."""
    flat = figures["first_over_median"] < FLAT
    verdict = "flat: nothing to learn beyond a Gaussian" if flat else "there is structure along few directions"
    return (
        f"spectrum of {members} deltas: first eigenvalue over median {figures['first_over_median']:.2f}, "
        f"effective-rank ratio {figures['effective_rank']:.3f}, "
        f"share of the mean delta {figures['mean_share']:.1%}; {verdict}"
    )


def sampled(
    name: str, lineage: Lineage, book: Codebook, condition: Condition, count: int, seed: int, noise: torch.Generator
) -> tuple[Tensor, float]:
    """Return codes (count, k) of a generator for a condition, and the dispersion ratio of its samples.

    The ratio is that of the samples for the members' own conditions in turn, so that a conditional generator is not
    taken for a collapsed one.
    """
    generator = lookup.noun("bench.foundry.generators", name, Generator)
    conditions, _, _ = lineage.conditions()
    sampler = generator.learn(book.codes, conditions, seed)
    codes = sampler(lineage.embedded(condition), count, noise)
    apart = torch.Generator().manual_seed(seed)  # the ratio draws noise of its own, so that it changes no candidate
    each = max(2, SPREAD_SAMPLES // len(conditions))
    spread = torch.cat([sampler(own, each, apart) for own in conditions])
    return codes, dispersion(spread, book.codes)


def candidate(
    code: Tensor, prompt: Tensor, lineage: Lineage, book: Codebook, bench: PreparedWorkbench, settings: GenerateSettings
) -> Candidate:
    """Return the network of a code, its batch norms measured on training images, with its score on validation."""
    network = lineage.with_weights(prompt + book.decode(code[None])[0])
    before = statistics_of(network)
    images = measure_statistics(network, bench, all_training_images(bench), settings.images)
    after = statistics_of(network)
    if before and all(torch.equal(value, after[name]) for name, value in before.items()):
        raise Incompatible("the batch-norm statistics did not change when they were measured")
    own = dataclasses.replace(bench, network=lambda scratch: copy.deepcopy(network))
    score = validation_score(network, own, settings.ranking, settings.seed)
    return Candidate(code=code, network=network, score=score, images=images if before else 0)


def all_training_images(bench: PreparedWorkbench) -> Examples:
    """Return the images of the whole training split, which need no labels."""
    if bench.data.labels >= 1:
        return bench.images("train")
    if "train.unlabelled" not in bench.pool:
        whole = dataclasses.replace(bench, data=dataclasses.replace(bench.data, labels=1.0), pool={}, _rows={})
        bench.pool["train.unlabelled"] = whole.images("train")
    return bench.pool["train.unlabelled"]


def _refined(
    code: Tensor,
    settings: GenerateSettings,
    lineage: Lineage,
    book: Codebook,
    prompt: Tensor,
    bench: PreparedWorkbench,
    condition: Condition,
    noise: torch.Generator,
) -> Tensor:
    """Return a code changed by the behaviour of its network, on labels or on features of the nearest members."""
    if settings.refine == "task":
        if bench.data.task.kind != "classification":
            raise Incompatible(f"refine=task is for classification, not {bench.data.task.kind}; use refine=features")
        examples: Examples = bench.images("train")
        behaviour: Behaviour = prototype_loss
    else:
        examples = all_training_images(bench)
        teachers = nearest_members(lineage, condition)[:TEACHERS]
        vectors = []
        for place in teachers:
            network = lineage.with_weights(lineage.base + lineage.deltas[place])
            measure_statistics(network, bench, examples, settings.images)
            vectors.append(features(network, examples, bench)[0])
        behaviour = feature_loss(torch.stack(vectors).mean(0))
    refined, _ = refine(
        code,
        lambda values: prompt + book.decode(values[None])[0],
        lineage.network,
        lineage.layout,
        bench,
        examples,
        behaviour,
        steps=settings.refine_steps,
        rate=settings.refine_rate,
        batch=settings.refine_batch,
        noise=noise,
    )
    return refined


def nearest_members(lineage: Lineage, condition: Condition) -> list[int]:
    """Return the positions of members by the distance of their conditions to one, nearest first."""
    conditions, _, _ = lineage.conditions()
    distances = (conditions - lineage.embedded(condition)).square().sum(1)
    return [int(place) for place in distances.argsort(stable=True)]


def _write(
    chosen: Candidate,
    place: int,
    settings: GenerateSettings,
    lineage: Lineage,
    prompt: Tensor,
    bench: PreparedWorkbench,
    out: Path,
    notes: list[str],
    scores: dict[str, float],
    cost: dict[str, float],
) -> Path:
    """Write a candidate as an entry and return the path of its weights."""
    entry, state = lineage.trunk.entry, chosen.network.state_dict()
    flat = lineage.layout.flat(state)
    untouched = {name for name, part in lineage.layout.split(flat - prompt).items() if not bool(part.any())}
    sources = {
        name: f"batch norm measured on {chosen.images} images"
        if is_statistic(name)
        else f"prompt {settings.prompt or entry.name}, unchanged"
        if name in untouched
        else f"generated by {settings.generator}"
        for name in state
    }
    generated = sum(value.numel() for name, value in state.items() if sources[name].startswith("generated"))
    share = generated / lineage.layout.size
    if share < LEAST_GENERATED:
        kept = ", ".join(sorted(untouched)[:8])
        raise Incompatible(f"{share:.2%} of the parameters are generated, 99 % are needed; from the prompt: {kept}")
    novelty = min(float((flat - lineage.base - delta).norm()) for delta in lineage.deltas)
    between = torch.cdist(lineage.deltas, lineage.deltas)
    between.fill_diagonal_(float("inf"))
    scores |= {"distance_to_nearest": novelty, "distance_between_members": float(between.min(1).values.median())}
    fields = inherited_fields([lineage.trunk])
    seen = dict.fromkeys((*fields["trained_on"], *(name for member in lineage.members for name in member.trained_on)))
    parents = (entry.name, *(member.name for member in lineage.members))
    fields |= {"parents": parents, "trained_on": tuple(seen)}
    card = Card(
        name=f"{settings.name or f'{entry.name}.{settings.generator}'}_{place}",
        origin="generated",
        shape=lineage.trunk.shape,
        bands=tuple(band.name for band in bench.recipe.bands),
        parameters=sum(value.numel() for value in chosen.network.parameters()),
        depth=entry.depth,
        width=chosen.network.layers[-1].channels,
        recipe="generate",
        version=1,
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
        data={
            "suite": bench.data.suite.name,
            "version": bench.data.suite.version,
            "task": bench.data.task.name,
            "labels": settings.labels,
            "generated": bench.data.suite.generated,
            "condition": settings.condition,
            "sources": sources,
            "generated_share": share,
        },
        cost=cost,
        scores=scores,
        sha256="",
        reference=entry.reference,
        notes=tuple(notes),
        **fields,
    )
    return write_entry(out, card, save({name: value.contiguous() for name, value in state.items()}))
