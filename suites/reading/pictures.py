"""Pictures of eight bits: JPEG, PNG and TIFF, opened by Pillow as the format that their first bytes name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bench.core.errors import MissingData
from suites.reading.files import format_of, reading
from suites.reading.shapes import check_shape

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "GeoTIFF": "TIFF"}
# Pillow's kinds of pixels with eight bits per band: black and white, grey, palette, and colour with or without alpha.
MODES = ("1", "L", "P", "RGB", "RGBA")
MOST_PIXELS = 400_000_000
"""Largest picture that is decoded: fMoW's reach some 270 million pixels, and this many take 1.2 GB as RGB."""


@cache
def _pillow() -> ModuleType:
    """Return the module ``PIL.Image``, which may decode pictures of up to `MOST_PIXELS` pixels.

    Pillow warns above its ``MAX_IMAGE_PIXELS`` (89 million) and refuses twice as many, which the largest pictures of
    fMoW exceed. The limit is raised once, and left alone where it is higher or turned off already.
    """
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MOST_PIXELS)
    return Image


@contextmanager
def open_picture(path: Path, *formats: str) -> Iterator[Image.Image]:
    """Open a picture with Pillow; errors inside the block are reported with the file's name.

    Args:
        path: the file; see `suites.reading.files.checked_file`.
        formats: of ``JPEG``, ``PNG`` and ``TIFF``, those that are read; JPEG and PNG if none is given. PostScript and
            all other formats, some of which start other programs, are never read.

    Yields:
        The open ``PIL.Image.Image``, of at most `MOST_PIXELS` pixels, grey or coloured with eight bits per band.

    Raises:
        MissingData: if the file may not be read, has another format or other pixels, is too large, damaged or
            cut short.
    """
    wanted = formats or ("JPEG", "PNG")
    names = [name for name, format_ in FORMATS.items() if format_ in wanted]
    actual = FORMATS[format_of(path, *names)]
    with reading(path), _pillow().open(path, formats=(actual,)) as file:
        width, height = file.size
        if width * height > MOST_PIXELS:
            raise MissingData(
                f"cannot read {path}: it claims to have {width} x {height} pixels, and more than {MOST_PIXELS:,} are "
                "not decoded; replace it by the published file"
            )
        if file.mode not in MODES:
            raise MissingData(
                f"cannot read {path}: its pixels are of the kind {file.mode} ({', '.join(file.getbands())}), expected "
                "red, green and blue or grey of eight bits; replace it by the published file"
            )
        yield file


def read_picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a JPEG or PNG as uint8 (3, H, W) in the order red, green, blue.

    Args:
        path: the file.
        shape: the (3, H, W) that it must have.

    Raises:
        MissingData: with the name of the file if it is absent, of another format, damaged, cut short or not of `shape`,
            or if a link leads out of the data folder.
    """
    import numpy as np

    with open_picture(path) as file:
        check_shape(path, (3, file.height, file.width), shape)
        return np.asarray(file.convert("RGB")).transpose(2, 0, 1)
