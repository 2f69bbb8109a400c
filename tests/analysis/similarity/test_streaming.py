"""CKA streams: any chunking and merging equals the full batch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from analysis.similarity.cka_maps import cka_jackknife, cka_map
from analysis.similarity.measures import linear_cka
from analysis.similarity.streaming import CkaStream, stream_jackknife
from tests.builders.representations import pair, stack


@pytest.mark.filterwarnings("ignore:biased CKA")
@pytest.mark.parametrize("kept", [None, 0, 23])
def test_any_chunking_and_any_order_of_merging_equal_the_full_batch(kept):
    for seed, n in enumerate((7, 50, 120)):
        x, y = stack(n, (5, 33, 2), seed), stack(n, (8, 40), seed + 10)
        x[0][:, 2] += 1000
        expected = [cka_map(x, y, debiased=debiased, form="feature") for debiased in (True, False)]
        rng = np.random.default_rng(seed)
        for pieces in (1, 3, n):
            cuts = np.sort(rng.choice(np.arange(1, n), pieces - 1, replace=False))
            order = np.split(rng.permutation(n), cuts)
            whole, parts = CkaStream(rows_kept=kept), []
            for rows in order:
                part = CkaStream(rows_kept=kept)
                for stream in (whole, part):
                    stream.add([layer[rows] for layer in x], [layer[rows] for layer in y])
                parts.append(pickle.loads(pickle.dumps(part)))  # as from a worker
            forward, backward = CkaStream(), CkaStream(rows_kept=0)
            for part in parts:
                forward, backward = forward.merge(part), part.merge(backward)
            for stream in (whole, forward, backward):
                for value, debiased in zip(expected, (True, False), strict=True):
                    np.testing.assert_allclose(stream.cka(debiased=debiased), value, rtol=0, atol=1e-12)
                assert stream.rows == n
            if pieces == 3:
                left = np.concatenate(order[1:])
                rest = whole.without(parts[0]).cka()
                if len(left) >= 4:
                    full = cka_map([layer[left] for layer in x], [layer[left] for layer in y])
                    np.testing.assert_allclose(rest, full, rtol=0, atol=1e-11)


def test_a_stream_goes_on_after_it_was_read_and_copies_its_chunks():
    x, y = pair(60, 6, 4)
    stream, buffer = CkaStream(), (np.empty((20, 6)), np.empty((20, 4)))
    for start in range(0, 60, 20):
        buffer[0][:], buffer[1][:] = x[start : start + 20], y[start : start + 20]
        stream.add([buffer[0]], [buffer[1]])
        assert stream.cka()[0, 0] == pytest.approx(linear_cka(x[: start + 20], y[: start + 20]), abs=1e-12)
    assert stream._moments  # folded on the way


def test_streams_take_tensors_and_float32_products():
    x, y = stack(300, (20, 10), 0), stack(300, (15,), 1)
    stream = CkaStream(rows_kept=0, kind="float32")
    for start in range(0, 300, 64):
        part = slice(start, start + 64)
        stream.add([torch.tensor(layer[part]) for layer in x], [torch.tensor(layer[part]) for layer in y])
    np.testing.assert_allclose(stream.cka(), cka_map(x, y), rtol=0, atol=1e-6)


def test_the_jackknife_of_streams_is_that_of_rows():
    x, y = stack(80, (6, 9), 0), stack(80, (5,), 1)
    blocks = np.sort(np.random.default_rng(0).integers(0, 6, 80))
    parts = []
    for code in range(6):
        parts.append(CkaStream(rows_kept=0))
        parts[-1].add([layer[blocks == code] for layer in x], [layer[blocks == code] for layer in y])
    streamed, expected = stream_jackknife(parts), cka_jackknife(x, y, blocks=blocks)
    np.testing.assert_allclose(streamed.low, expected.low, rtol=0, atol=1e-11)
    with pytest.raises(ValueError, match="1 block"):
        stream_jackknife(parts[:1])
