"""Datasets of Copernicus-Bench that two suites share: one folder of files, and one suite per sensor or gas."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.core import Band
from bench.core.errors import MissingData
from suites.copernicus_bench._reader import DAY, IGNORED, Entry, Layout, read_flags
from suites.reading import listed_path, listed_stem, read_lines
from suites.reading.class_names import BIGEARTHNET, DFC2020, EUROSAT

RUN = 64
YEAR = "2021-01-01_2021-12-31.tif"
EUROSAT_MD5 = {"s1": "e7e7f8fc68fc55a7a689cb654912ff3f", "s2": "b2be02ca9767554c717f2e9bd15bbd23"}


def air_quality(gas: str, bands: tuple[Band, ...]) -> Layout:
    """Return the layout of the annual means of Sentinel-5P over Europe, ``no2`` or ``o3``."""

    def entries(directory: Path, split: str, task: str) -> list[Entry]:
        listed = directory / f"{split}.csv"
        return [
            Entry(
                id=place,
                block=place,
                images=((listed_path(directory / "s5p_annual", place, listed) / YEAR,),),
                target=listed_path(directory / "label_annual", f"{place}.tif", listed),
            )
            for place in read_lines(listed)
        ]

    return Layout(
        directory=f"airquality_s5p/{gas}",
        lists="{}.csv",
        archive=("l3_airquality_s5p/airquality_s5p.zip", "92081c7437c5c1daf783868ad7669877"),
        stored=bands,
        entries=entries,
        varies=True,
        # A mean over the year: only the year is known.
        day=r"^(\d{4})-01-01_",
    )


def bigearthnet(sensor: Literal["s1", "s2"], bands: tuple[Band, ...]) -> Layout:
    """Return the layout of the twentieth of BigEarthNet v2 for one of its sensors."""

    def entries(directory: Path, split: str, task: str) -> list[Entry]:
        rows = []
        table = directory / f"multilabel-{split}.csv"
        for (radar, optical), flags in read_flags(table, 2, len(BIGEARTHNET)).items():
            # S2 names end in _<tile>_<column>_<row>_allbands; one name serves both sensors.
            name = listed_stem(optical, table).removesuffix("_allbands")
            folder = directory / f"BigEarthNet-{sensor.upper()}-5%"
            image = listed_path(folder, radar if sensor == "s1" else optical, table)
            words = name.split("_")
            rows.append(Entry(id=name, block=words[-3] if len(words) > 2 else name, images=((image,),), target=flags))
        return rows

    return Layout(
        directory="bigearthnet_s1s2",
        lists="multilabel-{}.csv",
        archive=("l2_bigearthnet_s1s2/bigearthnetv2.zip", "269355db0449e0da7213c95f30c346d4"),
        stored=bands,
        entries=entries,
        day=DAY,
    )


def eurosat(sensor: Literal["s1", "s2"], bands: tuple[Band, ...]) -> Layout:
    """Return the layout of EuroSAT for one of its sensors."""

    def entries(directory: Path, split: str, task: str) -> list[Entry]:
        rows = []
        listed = directory / f"eurosat-{split}.txt"
        for line in read_lines(listed):
            name = listed_stem(line, listed)
            kind = name.partition("_")[0]
            if kind not in EUROSAT:
                raise MissingData(f"{listed}: {kind[:100]!r} is no class of EuroSAT ({', '.join(EUROSAT)})")
            image = directory / "all_imgs" / kind / f"{name}.tif"
            rows.append(Entry(id=name, block=name, images=((image,),), target=EUROSAT.index(kind)))
        return rows

    return Layout(
        directory=f"eurosat_{sensor}",
        lists="eurosat-{}.txt",
        archive=(f"l2_eurosat_s1s2/eurosat_{sensor}.zip", EUROSAT_MD5[sensor]),
        stored=bands,
        entries=entries,
    )


def dfc2020(sensor: Literal["s1", "s2"], bands: tuple[Band, ...]) -> Layout:
    """Return the layout of the 2020 Data Fusion Contest for one of its sensors."""

    def block(name: str) -> str:
        """Return the run of 64 successive numbers that a patch belongs to; a run shows one place."""
        stem, _, number = name.rpartition("_p")
        return f"{stem}_{int(number) // RUN}" if number.isdecimal() else name

    def entries(directory: Path, split: str, task: str) -> list[Entry]:
        listed = directory / f"dfc-{split}-new.csv"
        return [
            Entry(
                id=name.removesuffix(".tif"),
                block=block(name.removesuffix(".tif")),
                images=((listed_path(directory / sensor, name.replace("dfc", sensor), listed),),),
                target=listed_path(directory / "dfc", name, listed),
            )
            for name in read_lines(listed)
        ]

    ignored = dict.fromkeys((0, 3, 8), IGNORED)
    return Layout(
        directory="dfc2020_s1s2",
        lists="dfc-{}-new.csv",
        archive=("l2_dfc2020_s1s2/dfc2020.zip", "f10ba017dab6f38b7a6857b169ea924b"),
        stored=bands,
        entries=entries,
        codes={"landcover": {**ignored, **{code: number for number, code in enumerate(DFC2020)}}},
        placed=False,
    )
