"""Networks of terratorch are imported without terratorch as a whole."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from bench.networks import from_terratorch

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(importlib.util.find_spec("terratorch") is None, reason="terratorch is not installed")
def test_importing_networks_leaves_the_process_as_it_was() -> None:
    """Importing all of terratorch would set the precision of every matrix product in the process."""
    code = (
        "import sys, torch\nfrom bench.models import prithvi, terramind\n"
        "with torch.device('meta'):\n"
        "    for entry in (*prithvi.ENTRIES[1:2], *terramind.ENTRIES[:1]): entry.load(entry, None, 0, entry.bands)\n"
        "assert torch.get_float32_matmul_precision() == 'highest'\n"
        "assert not {'terratorch', 'terratorch.tasks', 'lightning', 'albumentations'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_terratorch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'geobench-run\[terratorch\]'"):
        from_terratorch.terratorch_module("models.no_such_module")
