"""Tables as Markdown, and their copies in the files of the repository."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from bench.catalogue import suites as suite_catalogue
from bench.cli import markdown
from bench.cli.setting_rows import attribute_texts, recipe_settings, settings
from bench.config import RunConfig
from bench.core import lookup
from bench.core.errors import UnknownName
from bench.metrics import METRICS
from bench.protocols.contract.protocol import Protocol


def columns(text: str) -> list[list[str]]:
    """Return the cells of a Markdown table, escaped pipes apart."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]


def test_cells_survive_pipes_breaks_and_numbers():
    rows = [{"name": "a|b", "text": "one\ntwo", "count": 1234567}, {"name": "plain", "text": "", "count": 5}]
    lines = columns(markdown.markdown_table(rows))
    assert {len(line) for line in lines} == {3}
    assert lines[1] == [" --- ", " --- ", " ---: "]
    assert lines[2] == [r" a\|b ", " one two ", " 1,234,567 "] and lines[3][0] == " `plain` "
    assert markdown.markdown_table([]) == ""


@pytest.mark.parametrize("name", sorted(markdown.TABLES))
def test_every_table_is_well_formed(name):
    lines = columns(markdown.table(name))
    assert len(lines) > 2 and len({len(line) for line in lines}) == 1


def test_an_unknown_table_is_named():
    with pytest.raises(UnknownName, match=r"no table 'modles'; did you mean models\?"):
        markdown.table("modles")


def test_families_state_where_their_networks_come_from():
    rows = {row["family"]: row for row in markdown.families()}
    assert list(rows) == lookup.names("bench.models")
    assert rows["croma"]["network"] == "torchgeo" and rows["prithvi"]["network"] == "terratorch"
    assert rows["seco"]["network"] == "timm resnet18, resnet50" and rows["galileo"]["network"] == "own"
    assert rows["satlas"]["network"].startswith("torchvision") and rows["rcf"]["sensors"] == "any"
    assert sum(row["entries"] for row in rows.values()) == len(markdown.entries())


def test_suites_state_their_sizes():
    rows = {row["suite"]: row for row in markdown.suites()}
    assert list(rows) == list(suite_catalogue.shipped())
    assert rows["fuel_moisture"]["size"] == "pixel, 3 dates" and rows["pastis"]["size"].endswith(", series")
    assert rows["sen1floods11"]["train / val / test"] == "252 / 89 / 90; bolivia 15"
    assert rows["locust_breeding"]["train / val / test"] == "not published"
    assert rows["demo"]["what"].endswith("(generated data)")


def test_every_setting_has_a_type_and_a_description():
    rows = {row["setting"]: row for row in settings()}
    assert set(RunConfig.model_fields) - {"settings", "placement"} | {"config", "study"} <= set(rows)
    for name in lookup.names("bench.protocols"):
        fields = lookup.noun("bench.protocols", name, Protocol).settings.model_fields
        assert {f"{name}.{field}" for field in fields} <= set(rows)
    for row in (*rows.values(), *recipe_settings()):
        assert row["type"] and row["description"], row
    assert rows["subsets"]["type"] == "int, 1 to 1000" and rows["subsets"]["default"] == "5"
    assert rows["finetune.backbone_rate"]["type"] == "float > 0"
    assert rows["finetune.layer_decay"]["type"] == "float > 0, ≤ 1"
    assert rows["precision"]["type"] == "fp32 or bf16" and rows["suite"]["default"] == "required"
    assert rows["probe.c"]["default"] == "1e-06, 3.16228e-06 … 10000 (21 values)"


def test_descriptions_come_from_the_class_and_its_ancestors():
    class Older:
        """Older.

        Attributes:
            one, two: first
                and second.
            three: ends with dots ...
        """

    class Newer(Older):
        """Newer.

        Attributes:
            two: of ``its`` own.
        """

    assert attribute_texts(Newer) == {"one": "first and second", "two": "of `its` own", "three": "ends with dots ..."}


def test_text_between_markers_is_written_anew():
    text = "before\n<!-- table: metrics -->\nstale\n<!-- end -->\nafter <!-- end -->\n"
    fresh = markdown.refreshed(text)
    assert fresh.startswith("before\n<!-- table: metrics -->\n| name |") and fresh.endswith(
        "<!-- end -->\nafter <!-- end -->\n"
    )
    assert "stale" not in fresh and all(f"`{name}`" in fresh for name in METRICS)
    assert markdown.refreshed(fresh) == fresh
    with pytest.raises(UnknownName, match="no table 'metrix'; did you mean metrics"):
        markdown.refreshed("<!-- table: metrix -->\n<!-- end -->\n")


@pytest.mark.parametrize("name", sorted(markdown.REFERENCE))
def test_reference_tables_need_no_torch(name):
    code = (
        f"import sys; sys.argv[1:] = ['{name}', '--markdown']; from bench.cli.listing import list_\n"
        "try:\n    list_()\nexcept SystemExit as end:\n    sys.exit(10 * ('torch' in sys.modules) + (end.code or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    assert done.stdout.startswith("| ")
