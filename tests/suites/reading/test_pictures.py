"""Pictures: JPEG, PNG and TIFF and nothing else, of a size that can be decoded."""

from __future__ import annotations

import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import MissingData
from suites.reading import open_picture, read_picture
from suites.reading import pictures as module

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n8 8 scale\n%%EOF\n"


def test_pictures_are_read(tmp_path):
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (6, 4), (200, 100, 50)).save(tmp_path / name, quality=95)
        values = read_picture(tmp_path / name, (3, 4, 6))
        assert values.dtype == np.uint8 and values[:, 1, 1].tolist() == pytest.approx([200, 100, 50], abs=3)
    Image.new("L", (6, 4), 9).save(tmp_path / "grey.png")
    assert (read_picture(tmp_path / "grey.png", (3, 4, 6)) == 9).all()
    Image.new("RGB", (6, 4)).save(tmp_path / "a.tif")
    with open_picture(tmp_path / "a.tif", "TIFF") as file:
        assert file.size == (6, 4)
    with pytest.raises(MissingData, match=r"a\.tif: it is a GeoTIFF, expected a JPEG or PNG"):
        read_picture(tmp_path / "a.tif", (3, 4, 6))


@pytest.mark.parametrize("ending", ["jpg", "png", "eps"])
def test_postscript_starts_no_program(ending, tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    started = []
    picture = Image.core.new("RGB", (8, 8))
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append("gs") or picture)
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: started.append(words))
    path = tmp_path / f"a.{ending}"
    path.write_bytes(EPS)
    with pytest.raises(MissingData, match=rf"a\.{ending}: it is a PostScript program, expected a JPEG or PNG"):
        read_picture(path, (3, 8, 8))
    assert started == []
    with Image.open(path) as file:
        file.load()
    assert started, "Pillow alone would have started Ghostscript"


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [25_000, 60_000])
def test_pictures_that_claim_too_many_pixels_are_refused(side, tmp_path):
    (tmp_path / "a.png").write_bytes(png(side, side))
    with pytest.raises(MissingData, match=r"cannot read .*a\.png: "), open_picture(tmp_path / "a.png") as file:
        pytest.fail(f"{file.size} pixels must not be decoded")
    with pytest.raises(MissingData, match=r"a\.png"):
        read_picture(tmp_path / "a.png", (3, 64, 64))


def test_the_limit_lies_above_the_largest_pictures_of_fmow_and_is_only_raised(tmp_path, monkeypatch):
    assert module.MOST_PIXELS > 16_184 * 16_288
    module._pillow.cache_clear()
    for before, after in ((None, None), (10**9, 10**9), (89_478_485, module.MOST_PIXELS)):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", before)
        module._pillow.cache_clear()
        Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
        read_picture(tmp_path / "a.png", (3, 4, 6))
        assert after == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_pictures_cut_short_are_named(ending, keep, tmp_path):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(MissingData, match=rf"cannot read .*a\.{ending}: "):
        read_picture(path, (3, 64, 64))


def test_another_size_is_named(tmp_path):
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    with pytest.raises(MissingData, match=r"a\.png has shape \(3, 4, 6\), expected \(3, 6, 4\)"):
        read_picture(tmp_path / "a.png", (3, 6, 4))
