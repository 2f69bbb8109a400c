"""What a file holds, told from its first bytes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bench.core.contents import HEAD, REFUSALS, head_of, kind_of

EXAMPLES = {
    b"": "empty",
    b"version https://git-lfs.github.com/spec/v1\noid": "lfs",
    b"\n <!DOCTYPE html><html>": "html",
    b"\xef\xbb\xbf<HTML>": "html",
    b"<?xml version='1.0'?>": "html",
    b'{"error": "not found"}': "json",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b\x08": "gzip",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ": "safetensors",
    pickle.dumps({}, 2): "pickle",
    b"\x80\x00": "",
    b"plain text": "",
    b"{\x00\x01": "",
}


@pytest.mark.parametrize("head", EXAMPLES)
def test_kinds(head):
    assert kind_of(head) == EXAMPLES[head]


def test_every_refusal_is_half_a_sentence(tmp_path):
    assert all(text.startswith("is ") for text in REFUSALS.values())
    np.save(tmp_path / "x.npy", np.zeros(1000))
    assert len(head_of(tmp_path / "x.npy")) == HEAD and kind_of(head_of(tmp_path / "x.npy")) == "npy"
