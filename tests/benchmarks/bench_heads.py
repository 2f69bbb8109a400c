"""Our batched probes against scikit-learn on the same features, both in one run; prints ratios.

    python tests/benchmarks/bench_heads.py [--quick] [--fractions]

Features are those of a random ViT-S/16 on EuroSAT RGB where the real data are at hand (pools mean, class token, both;
13 layers; 1,400 training images), else generated ones with as long a spectrum. scikit-learn's lbfgs gets the thread
setting that is faster for it and a warm start along the grid. `--quick` takes small images, 3 layers and 7 of the 21
strengths; `--fractions` adds 6 nested label fractions x 5 subsets (24,570 fits).
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.probes.pooled import ALPHAS, LogisticPath, fit_logistic, fit_ridge, knn, predict, standardise

C = tuple(float(c) for c in np.logspace(-6, 4, 21))
FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
CLASSES = 10
ITERATIONS = 3000  # of scikit-learn, a strength


def real_features(folder: Path, train: int, side: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return (13, n, 384) float16 features by pool and (n,) classes of a random ViT-S/16 on EuroSAT RGB."""
    import timm

    with (folder / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["class"] for row in rows})
    chosen = []
    for split, count in (("train", train), ("val", 500)):
        mine = [row for row in rows if row["split"] == split]
        order = torch.randperm(len(mine), generator=torch.Generator().manual_seed(0)).tolist()
        chosen += [mine[i] for i in order[:count]]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("vit_small_patch16_224", img_size=side).eval()
    pools: dict[str, list[torch.Tensor]] = {"mean": [], "cls": []}
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        for start in range(0, len(chosen), 32):
            part = chosen[start : start + 32]
            images = [
                np.asarray(Image.open(folder / "EuroSAT_RGB" / row["class"] / row["file"]).convert("RGB"))
                for row in part
            ]
            x = (torch.from_numpy(np.stack(images)) / 255 - mean) / spread
            x = torch.nn.functional.interpolate(x.permute(0, 3, 1, 2), size=(side, side), mode="bilinear")
            taps = [network._pos_embed(network.patch_embed(x))]
            for block in network.blocks:
                taps.append(block(taps[-1]))
            pools["mean"].append(torch.stack([tap[:, 1:].mean(1) for tap in taps]).half())
            pools["cls"].append(torch.stack([tap[:, 0] for tap in taps]).half())
    return {k: torch.cat(v, 1) for k, v in pools.items()}, torch.tensor([names.index(row["class"]) for row in chosen])


def generated_features(train: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return features like those of `real_features`: eigenvalues over eight decades, classes that overlap."""
    generator = torch.Generator().manual_seed(0)
    n, width = train + 500, 384
    y = torch.randint(CLASSES, (n,), generator=generator)
    pools = {}
    for pool in ("mean", "cls"):
        layers = []
        for _ in range(13):
            spread = torch.logspace(0, -4, width)
            centres = torch.randn(CLASSES, width, generator=generator)
            axes = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
            layers.append(((0.5 * centres[y] + torch.randn(n, width, generator=generator)) * spread) @ axes)
        pools[pool] = torch.stack(layers)
    return pools, y


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def objective(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, c: float) -> float:
    loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, y)
    return float(loss + weight.square().sum() / (2 * c * len(y)))


def sklearn_path(x: np.ndarray, y: np.ndarray, strengths: tuple[float, ...], threads: int) -> list[LogisticRegression]:
    """Return one fitted model a strength, each started from the one before."""
    models: list[LogisticRegression] = []
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for c in strengths:
            model = LogisticRegression(C=c, tol=1e-6, max_iter=ITERATIONS, warm_start=True)
            if models:
                model.coef_, model.intercept_ = models[-1].coef_.copy(), models[-1].intercept_.copy()
            models.append(model.fit(x, y))
    return models


def against_sklearn(x: torch.Tensor, y: torch.Tensor, strengths: tuple[float, ...], label: str) -> None:
    """Print times, objectives and coefficients of both along one path of one problem."""
    features, classes = x.numpy(), y.numpy()
    trial = {t: timed(lambda t=t: sklearn_path(features, classes, (1e-2,), t))[0] for t in {1, torch.get_num_threads()}}
    threads = min(trial, key=trial.__getitem__)
    theirs, models = timed(lambda: sklearn_path(features, classes, strengths, threads))
    ours, path = timed(lambda: fit_logistic(x[None], y, classes=CLASSES, c=strengths))
    assert isinstance(path, LogisticPath) and isinstance(models, list)
    print(f"\n{label}: one problem, n={x.shape[0]}, D={x.shape[1]}, K={CLASSES}, {len(strengths)} strengths")
    print("  scikit-learn, one fit at C=0.01: " + ", ".join(f"{t} thread(s) {s:.2f} s" for t, s in trial.items()))
    print("        C   scikit-learn  iterations | ours  iterations | objective, ours / theirs - 1 | coefficients apart")
    worst, apart, solved = -np.inf, 0.0, 0
    for i, (c, model) in enumerate(zip(strengths, models, strict=True)):
        weight, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
        f, g = objective(x, y, weight, bias, c), objective(x, y, path.weight[0, i], path.bias[0, i], c)
        differ = float((path.weight[0, i] - weight).abs().max())
        converged = model.n_iter_[0] < ITERATIONS
        worst = max(worst, g / f - 1)
        if converged:
            solved, apart = solved + 1, max(apart, differ)
        print(
            f"  {c:8.2g}   {'converged' if converged else 'NOT converged':>13} {model.n_iter_[0]:6d} | "
            f"{'converged' if path.converged[0, i] else 'NOT converged'} {int(path.iterations[0, i]):4d} | "
            f"{g / f - 1:+.1e} | {differ:.1e}"
        )
    print(
        f"  scikit-learn {theirs:.1f} s ({threads} thread(s)), ours {ours:.2f} s (1 thread): "
        f"ratio {theirs / ours:.0f} (at least 5), to an objective at most {worst:.1e} above theirs (at most 1e-6)"
    )
    print(f"  coefficients where both converge ({solved} strengths): differ by at most {apart:.1e}")


def tight(x: torch.Tensor, y: torch.Tensor) -> None:
    """Print how far coefficients are apart where both are solved to 1e-9 and a strength leaves nothing undetermined."""
    strengths = tuple(c for c in C if c <= 1)
    path = fit_logistic(x[None], y, classes=CLASSES, c=strengths, tol=1e-9)
    apart = 0.0
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for i, c in enumerate(strengths):
            model = LogisticRegression(C=c, tol=1e-9, max_iter=50000).fit(x.numpy(), y.numpy())
            apart = max(apart, float((path.weight[0, i] - torch.from_numpy(model.coef_)).abs().max()))
    print(f"  solved to 1e-9 at C <= 1: coefficients differ by at most {apart:.1e} (at most 1e-4)")


def whole_sweep(pools: dict[str, torch.Tensor], y: torch.Tensor, rows: torch.Tensor) -> tuple[float, int, float]:
    """Return seconds, fits and the largest gradient of all layers x pools x strengths on some training rows."""
    start, fits, largest = time.perf_counter(), 0, 0.0
    for group in (torch.cat([pools["mean"], pools["cls"]]), torch.cat([pools["mean"], pools["cls"]], -1)):
        train = group[:, rows].float()
        mean, scale = standardise(train)
        path = fit_logistic((train - mean) / scale, y[rows], classes=CLASSES, c=C)
        fits += path.converged.numel()
        largest = max(largest, float(path.gradient.max()))
        (predict(path, (group[:, -500:].float() - mean) / scale).argmax(-1) == y[-500:]).double().mean(-1)
    return time.perf_counter() - start, fits, largest


def others(x: torch.Tensor, y: torch.Tensor) -> None:
    """Print ridge and nearest neighbours against scikit-learn."""
    values = torch.nn.functional.one_hot(y, CLASSES).double()
    theirs, _ = timed(lambda: [Ridge(alpha=a).fit(x.numpy(), values.numpy()) for a in ALPHAS])
    ours, _ = timed(lambda: fit_ridge(x[None], values))
    print(f"\nridge, {len(ALPHAS)} alphas: scikit-learn {theirs:.2f} s, ours {ours:.3f} s, ratio {theirs / ours:.0f}")
    query = x[:500]
    theirs, _ = timed(lambda: [KNeighborsClassifier(k, metric="cosine").fit(x, y).predict(query) for k in (1, 5, 20)])
    ours, _ = timed(lambda: knn(x[None], y, query[None], k=(1, 5, 20), classes=CLASSES))
    print(f"neighbours, 3 k: scikit-learn {theirs:.2f} s, ours {ours:.3f} s, ratio {theirs / ours:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fractions", action="store_true")
    arguments = parser.parse_args()
    shared = Path(os.environ.get("GEOBENCH_SHARED", Path(__file__).parents[3] / "shared"))
    folder, count = shared / "data" / "eurosat_rgb", 400 if arguments.quick else 1400
    if folder.is_dir():
        pools, y = real_features(folder, count, 64 if arguments.quick else 224)
        print(f"features of a random ViT-S/16 on {len(y)} real EuroSAT RGB images, {torch.get_num_threads()} thread(s)")
    else:
        pools, y = generated_features(count)
        print(f"generated features (no real data at {folder}), {torch.get_num_threads()} thread(s)")
    if arguments.quick:
        pools = {name: pool[[0, 6, 12]] for name, pool in pools.items()}
    strengths = C[::3] if arguments.quick else C
    layer = len(pools["mean"]) // 2
    sources = {"mean": pools["mean"], "both": torch.cat([pools["mean"], pools["cls"]], -1)}
    for name, source in sources.items():
        x = source[layer : layer + 1, :count].double()
        mean, scale = standardise(x)
        x = ((x - mean) / scale)[0]
        against_sklearn(x, y[:count], strengths, f"layer {layer}, pool {name}")
        if name == "mean":
            tight(x, y[:count])
            others(x, y[:count])
    seconds, fits, largest = whole_sweep(pools, y, torch.arange(count))
    print(
        f"\nall labels: {fits:,} fits of {len(pools['mean'])} layers x 3 pools in {seconds:.1f} s "
        f"({1e3 * seconds / fits:.1f} ms a fit), largest gradient {largest:.1e}"
    )
    if arguments.fractions:
        total, fits = 0.0, 0
        for fraction in FRACTIONS:
            spent = 0.0
            for subset in range(5):
                order = torch.randperm(count, generator=torch.Generator().manual_seed(subset))
                seconds, done, _ = whole_sweep(pools, y, order[: max(CLASSES, round(fraction * count))].sort().values)
                spent, fits = spent + seconds, fits + done
            total += spent
            print(f"  {fraction:4.0%} of labels x 5 subsets: {spent:.1f} s", flush=True)
        print(f"fractions: {fits:,} fits in {total:.1f} s ({1e3 * total / fits:.1f} ms a fit)")


if __name__ == "__main__":
    main()
