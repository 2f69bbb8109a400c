"""Messages about faulty records: one line on damaged records, one on those without a checksum."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from bench.core.wording import shortened
from bench.store import Fault
from bench.sweeps.console import print_line

NAMED = 4  # damaged records that are listed by name


def show_faults(out: Console, faults: Sequence[Fault]) -> None:
    """Print the records that are damaged and left out, and how many carry no checksum; nothing where all are sound."""
    damaged = [fault.text for fault in faults if fault.damaged]
    unsealed = [fault.path for fault in faults if not fault.damaged]
    if damaged:
        named = shortened(damaged, NAMED, hint="geobench-cache verify names all")
        print_line(out, (f"{_records(damaged)} left out: {named}", "red"))
    if unsealed:
        print_line(
            out,
            (f"{_records(unsealed)} without a checksum, the first {unsealed[0]}", "yellow"),
            ": whether they were edited cannot be told; geobench-cache verify seal=true adds it",
        )


def _records(items: Sequence[object]) -> str:
    return f"{len(items)} record" if len(items) == 1 else f"{len(items)} records"
