"""Training of the autoencoder: resumable to the same bits, windows balanced by model."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.core import sha256_of
from bench.core.errors import BadSetting, Damaged
from bench.foundry.autoencoder.losses import contrast, masked_error, normalised_error
from bench.foundry.autoencoder.network import WeightAutoencoder, parameter_groups
from bench.foundry.autoencoder.settings import SIZES, LearnSettings
from bench.foundry.autoencoder.sources import TokenSource, Windows, draw
from bench.store import write_atomic

Run = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
CHECKPOINT = "training.pt"
TOLD = 20  # lines of progress per training


def train(
    settings: LearnSettings,
    sources: Sequence[TokenSource],
    *,
    out: Path,
    device: str = "cpu",
    report: Callable[[str], None] = lambda text: None,
    until: int | None = None,
) -> tuple[WeightAutoencoder, list[float]]:
    """Train an autoencoder and return it with the loss of every step.

    All randomness of a step follows from the seed and the step's number, and the state is kept every ``save_every``
    steps: a training that was killed goes on from there, and on a CPU with the same number of threads ends with the
    bits of one that was not.

    Args:
        settings: see `LearnSettings`.
        sources: models that it is trained on.
        out: folder of the checkpoint.
        device: torch device.
        report: receives lines of progress.
        until: stop after this step, as a kill would; for tests and budgets of time.

    Raises:
        BadSetting: a checkpoint of other settings lies in `out`.
        Damaged: the checkpoint cannot be read.
    """
    size = SIZES[settings.preset]
    network = WeightAutoencoder(size, settings.seed).to(device)
    groups = parameter_groups(network, settings.weight_decay)
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=device.startswith("cuda"))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps + 1, pct_start=0.3, div_factor=25
    )
    path = out / CHECKPOINT
    identity = sha256_of(
        [settings.model_dump(mode="json", exclude={"save_every"}), [source.name for source in sources]]
    )
    losses = _resume(path, identity, network, optimiser, schedule) if path.is_file() else []
    if losses:
        report(f"going on after step {len(losses):,}")
    run: Run = torch.compile(network) if settings.compile and device.startswith("cuda") else network
    network.train()
    last = min(settings.steps, until or settings.steps)
    for step in range(len(losses), last):
        loss = _loss(run, network, settings, sources, step, device)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        done = step + 1
        if not done % settings.save_every or done == last:
            state = {"identity": identity, "losses": losses, "network": network.state_dict()}
            buffer = io.BytesIO()
            torch.save(state | {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}, buffer)
            write_atomic(path, buffer.getvalue())
        if not done % max(1, settings.steps // TOLD) or done == last:
            report(f"step {done:,} of {settings.steps:,}: loss {losses[-1]:.4f}")
    return network, losses


def _resume(
    path: Path, identity: str, network: WeightAutoencoder, optimiser: Optimizer, schedule: LRScheduler
) -> list[float]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle leads the unpickler into errors of any kind
        raise Damaged(f"{path} cannot be read; delete it to train from the start") from error
    if state.get("identity") != identity:
        raise BadSetting(f"{path} is of a training with other settings or models; give another out=, or delete it")
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return [float(loss) for loss in state["losses"]]


def _loss(
    run: Run,
    network: WeightAutoencoder,
    settings: LearnSettings,
    sources: Sequence[TokenSource],
    step: int,
    device: str,
) -> Tensor:
    """Return the loss of one step; its windows and noise follow from the seed and the step."""
    generator = torch.Generator().manual_seed((settings.seed << 32) + step)
    windows = draw(sources, settings.batch, network.size.window, generator)
    count = 2 if settings.gamma else 1  # views
    views = [_noised(windows, settings, network.size.published, generator).to(device) for _ in range(count)]
    clean, mask, places = windows.values.to(device), windows.mask.to(device), windows.positions.to(device)
    with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=device.startswith("cuda")):
        outputs = [run(view, mask, places) for view in views]
        projected = [network.project(codes, mask) for _, codes in outputs] if settings.gamma else []
    if network.size.published:  # the target is the noised input itself
        error = normalised_error(
            torch.cat([output for output, _ in outputs]), torch.cat(views), mask.repeat(count, 1, 1)
        )
    else:
        error = torch.stack([masked_error(output, clean, mask) for output, _ in outputs]).mean()
    if not settings.gamma:
        return error
    return (1 - settings.gamma) * error + settings.gamma * contrast(projected[0], projected[1], settings.temperature)


def _noised(windows: Windows, settings: LearnSettings, published: bool, generator: torch.Generator) -> Tensor:
    noise = settings.noise * torch.randn(windows.values.shape, generator=generator)
    return windows.values * (1 + noise) if published else windows.values + noise
