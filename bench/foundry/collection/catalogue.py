"""The catalogue of a collection on disk: members, lineage, spectra and refusals, under one seal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bench.catalogue.download import file_hash
from bench.core.errors import Damaged, MissingData
from bench.store import write_atomic
from bench.store.seals import read_sealed, write_sealed

CATALOGUE, SEAL = "catalogue.parquet", "collection.json"
LINEAGE, REJECTS, SPECTRA = "lineage.csv", "rejects.csv", "spectra.csv"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Member:
    """One model of a collection.

    Attributes:
        name: unique within the collection.
        architecture: as stated, else ``structure:`` and the first digits of `structure`.
        modality: sensors joined by ``+``, as stated.
        task: what it was trained to do, as stated.
        trained_on: datasets it has seen, as stated.
        licence: as stated.
        lineage, kinship, duplicate_of: see `bench.foundry.collection.families.Place`.
        parents: entries that its card names.
        sha256: of the file; of shards, of their hashes.
        parameters: floating-point values, buffers included.
        bits: of the values with the most.
        bytes: of its files.
        structure: hash of the shapes of its matrices: equal for models whose matrices correspond.
        source: registry, recipe, file or hub.
        path: of its first file.
        shards: number of files.
    """

    name: str
    architecture: str
    modality: str
    task: str
    trained_on: tuple[str, ...]
    licence: str
    lineage: str
    kinship: str
    duplicate_of: str
    parents: tuple[str, ...]
    sha256: str
    parameters: int
    bits: int
    bytes: int
    structure: str
    source: str
    path: str
    shards: int


def write_collection(
    folder: Path,
    members: Sequence[Member],
    tables: Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, object]]]],
    facts: Mapping[str, object],
) -> Path:
    """Write a collection and return the path of its catalogue; the seal over all files is written last.

    Args:
        folder: of the collection.
        members: rows of the catalogue.
        tables: file name -> columns and rows of a CSV file.
        facts: how the collection was made.
    """
    import pyarrow
    from pyarrow import parquet

    lists = {"trained_on", "parents"}
    numbers = {"parameters", "bits", "bytes", "shards"}
    kinds = dict.fromkeys(lists, pyarrow.list_(pyarrow.string())) | dict.fromkeys(numbers, pyarrow.int64())
    schema = pyarrow.schema(
        (attribute.name, kinds.get(attribute.name, pyarrow.string())) for attribute in fields(Member)
    )
    rows = [{**asdict(member), **{key: list(getattr(member, key)) for key in lists}} for member in members]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), buffer)
    write_atomic(folder / CATALOGUE, buffer.getvalue())
    for name, (columns, content) in tables.items():
        write_atomic(folder / name, _csv(columns, content).encode())
    files = {name: file_hash(folder / name) for name in (CATALOGUE, *tables)}
    write_sealed(folder / SEAL, "collection", {"version": VERSION, "files": files, **facts})
    return folder / CATALOGUE


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
    return stream.getvalue()


def read_collection(folder: Path) -> list[Member]:
    """Return the members of a collection.

    Raises:
        MissingData: there is none in the folder.
        Damaged: a file of it is not what was written.
    """
    from pyarrow import parquet

    seal = read_sealed(folder / SEAL, "collection")
    if seal is None:
        raise MissingData(f"{folder} holds no collection; make one: geobench-make recipe=collect from=... out={folder}")
    for name, digest in seal["files"].items():
        if not (folder / name).is_file() or file_hash(folder / name) != digest:
            raise Damaged(f"{folder / name} differs from its checksum; collect the models again")
    rows = parquet.read_table(folder / CATALOGUE).to_pylist()
    return [Member(**{**row, "trained_on": tuple(row["trained_on"]), "parents": tuple(row["parents"])}) for row in rows]


def read_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file of a collection."""
    with (folder / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
