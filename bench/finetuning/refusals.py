"""Reasons why an arm cannot be trained for a model and a task, found from their facts alone. Imports no torch."""

from __future__ import annotations

from bench.core import ModelEntry, Task
from bench.finetuning.arm import decoder_of
from bench.finetuning.settings import LOSSES, ArmSettings
from bench.input.augment import names_of


def refusal(entry: ModelEntry, task: Task, settings: ArmSettings) -> str:
    """Return why an arm cannot be trained for this entry and task, or ``""``.

    Raises:
        BadSetting: an augmentation that is unknown, or not for this kind of task.
    """
    name, tuning, taps = settings.decoders[0], settings.tuning[0], settings.taps[0]
    decoder = decoder_of(name)
    if task.kind not in decoder.kinds:
        return f"decoder {name} serves {', '.join(decoder.kinds)}, not {task.kind}"
    if entry.vectors:
        return "ready-made embeddings cannot be tuned, and have no layers; probe them"
    if entry.origin == "baseline" and tuning != "frozen":
        return f"{entry.name} has no parameters to tune"
    if settings.loss and settings.loss not in LOSSES[task.kind]:
        return f"loss {settings.loss} is not for {task.kind}; known: {', '.join(LOSSES[task.kind])}"
    names_of(task.kind, settings.augment)
    if taps == "published" and not entry.taps:
        return f"its authors publish no taps for {entry.name}; use quarters"
    if decoder.layers_read == 1 and taps in ("quarters", "published"):
        return f"decoder {name} reads one layer: taps={taps} would be its last; use last or profile"
    if decoder.layers_read == 0 and taps != "last":
        return f"decoder {name} reads every layer whatever the taps; use taps=last"
    if taps == "published" and len(entry.taps) != decoder.layers_read:
        return f"decoder {name} reads {decoder.layers_read} layers; {entry.name} has {len(entry.taps)} published taps"
    return ""
