"""Adapters against the networks they adapt: same numbers, no more work than asked for, nothing left behind."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchgeo.models import CROMA, DOFA
from torchgeo.models.croma import get_2dalibi

from bench.core import Band, Tap
from bench.core.errors import Incompatible
from bench.networks.backbones import built, frozen, seeded, stack_sensors, tap_along, transformer_layers
from bench.networks.croma import CROMABackbone, alibi
from bench.networks.dofa import DOFABackbone
from bench.networks.pyramid import PyramidBackbone
from bench.networks.vit import ViTBackbone

S2 = tuple(Band(name=f"s2.b{index:02d}", unit="dn") for index in range(1, 13))
S1 = (Band(name="s1.vv", unit="db"), Band(name="s1.vh", unit="db"))
RGB = tuple(Band(name=f"rgb.{colour}", unit="uint8") for colour in ("red", "green", "blue"))


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


FACTS = {
    **{"img_size": 32, "patch_size": 8, "in_chans": 3, "num_classes": 0},
    **{"embed_dim": 48, "depth": 3, "num_heads": 3},
}


def vit(**settings: object) -> VisionTransformer:
    return seeded(lambda: VisionTransformer(**(FACTS | settings)), 0)


def croma(modalities: Sequence[str] = ("sar", "optical"), size: int = 32) -> CROMA:
    return seeded(
        lambda: CROMA(modalities=list(modalities), encoder_dim=64, encoder_depth=4, num_heads=16, image_size=size), 0
    )


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tokens(tap: Tap) -> Tensor:
    return tap.grid.flatten(2).transpose(1, 2)


def test_vit_gives_what_timm_gives() -> None:
    network = vit()
    backbone = ViTBackbone(network, RGB, pool="cls")
    pixels = noise(2, 3, 32, 32)
    taps = backbone({"rgb": pixels[:, None]}, range(5))
    final, inner = network.forward_intermediates(pixels, return_prefix_tokens=True)
    for tap, (grid, prefix) in zip(taps[1:4], inner, strict=True):
        torch.testing.assert_close(tap.grid, grid, rtol=0, atol=0)
        torch.testing.assert_close(tap.cls, prefix[:, 0], rtol=0, atol=0)
        assert tap.vector is tap.cls
    torch.testing.assert_close(torch.cat([taps[4].cls[:, None], tokens(taps[4])], 1), final, rtol=0, atol=0)
    embedded = network.patch_embed(pixels) + network.pos_embed[:, 1:]
    torch.testing.assert_close(tokens(taps[0]), embedded, rtol=0, atol=0)
    assert taps[0].cls is None
    torch.testing.assert_close(taps[0].vector, embedded.mean(1))


def test_vit_pooled_by_the_mean_and_without_a_class_token() -> None:
    network = vit(class_token=False, global_pool="")
    tap = ViTBackbone(network, RGB, pool="mean")({"rgb": noise(2, 1, 3, 32, 32)}, [4])[0]
    assert tap.cls is None
    torch.testing.assert_close(tap.vector, tap.grid.mean((-2, -1)))


def test_positions_are_interpolated_only_where_the_network_declares_it() -> None:
    images = {"rgb": noise(1, 1, 3, 48, 16)}
    with pytest.raises(Incompatible, match=r"\(48, 16\).*\(32, 32\)"):
        ViTBackbone(vit(), RGB, pool="cls")(images, [0])
    network = vit(dynamic_img_size=True)
    tap = ViTBackbone(network, RGB, pool="cls")(images, [4])[0]
    assert tap.grid.shape == (1, 48, 6, 2)
    torch.testing.assert_close(tap.cls, network.forward_features(images["rgb"][:, 0])[:, 0], rtol=0, atol=0)


def test_dofa_gives_what_torchgeo_gives() -> None:
    network = seeded(lambda: DOFA(img_size=32, patch_size=8, embed_dim=64, depth=3, num_heads=4, num_classes=0), 0)
    network.pos_embed.normal_()
    bands, waves = (*S2[:3], *S1), [0.443, 0.49, 0.56, 3.75, 3.75]
    images = {"s1": noise(2, 1, 2, 32, 32, seed=1), "s2": noise(2, 1, 3, 32, 32, seed=2)}
    backbone = DOFABackbone(network, bands, wavelengths=waves)
    taps = backbone(images, range(len(backbone.layers)))
    assert [layer.name for layer in backbone.layers] == ["embedding", "block_1", "block_2", "block_3"]
    whole = torch.cat([images["s2"], images["s1"]], 2)[:, 0]
    torch.testing.assert_close(network.fc_norm(taps[-1].vector), network.forward_features(whole, waves), rtol=0, atol=0)
    moved = DOFABackbone(network, bands, wavelengths=[*waves[:3], 5.405, 5.405])(images, [0])[0]
    assert not torch.allclose(moved.vector, taps[0].vector), "the wavelengths must reach the patch embedding"


def test_croma_gives_what_torchgeo_gives_for_each_set_of_sensors() -> None:
    s1, s2 = noise(2, 1, 2, 32, 32, seed=1), noise(2, 1, 12, 32, 32, seed=2)
    network = croma()
    expected = network(s1[:, 0], s2[:, 0])
    cases = (("optical", S2, 4), ("sar", S1, 2), ("joint", (*S2, *S1), 6))
    for name, bands, blocks in cases:
        backbone = CROMABackbone(network, bands)
        tap = backbone({"s1": s1, "s2": s2}, [len(backbone.layers) - 1])[0]
        assert [layer.name for layer in backbone.layers] == [
            "embedding",
            *(f"block_{index}" for index in range(1, blocks + 1)),
            "norm",
        ]
        torch.testing.assert_close(tokens(tap), expected[f"{name}_encodings"])
        torch.testing.assert_close(tap.vector, expected[f"{name}_GAP"])


def test_the_first_layers_of_both_sensors_are_those_of_the_optical_encoder() -> None:
    images = {"s1": noise(1, 1, 2, 32, 32, seed=1), "s2": noise(1, 1, 12, 32, 32, seed=2)}
    both, optical = CROMABackbone(croma(), (*S2, *S1)), CROMABackbone(croma(), S2)
    for one, other in zip(both(images, range(5)), optical(images, range(5)), strict=True):
        assert torch.equal(one.grid, other.grid)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_alibi_is_torchgeos(side: int) -> None:
    torch.testing.assert_close(alibi((side, side), 16), get_2dalibi(16, side * side), rtol=1e-6, atol=1e-6)


def test_alibi_of_an_oblong_grid_by_hand() -> None:
    bias = alibi((2, 3), 4)[0]
    assert bias.shape == (4, 6, 6)
    # From (0, 0) to (1, 2): distance sqrt 5; the slopes of four heads are 1/4, 1/16, 1/64, 1/256.
    torch.testing.assert_close(bias[:, 0, 5], -(5**0.5) * torch.tensor([1 / 4, 1 / 16, 1 / 64, 1 / 256]))


def test_a_croma_of_other_sizes_follows_its_grid() -> None:
    backbone = CROMABackbone(croma(size=32), S2)
    smaller = noise(1, 1, 12, 16, 16)
    expected = croma(["optical"], size=16)(x_optical=smaller[:, 0])["optical_encodings"]
    whole = croma(["optical"], size=32)
    optical = croma(["optical"], size=16)
    optical.load_state_dict({k: v for k, v in whole.state_dict().items() if k != "attn_bias"}, strict=False)
    expected = optical(x_optical=smaller[:, 0])["optical_encodings"]
    alone = CROMABackbone(whole, S2)
    torch.testing.assert_close(tokens(alone({"s2": smaller}, [5])[0]), expected)
    with pytest.raises(Incompatible, match=r"\(20, 16\)"):
        backbone({"s2": noise(1, 1, 12, 20, 16)}, [0])


def resnet() -> PyramidBackbone:
    return PyramidBackbone(
        seeded(lambda: timm.create_model("resnet18", num_classes=0), 0),
        RGB,
        steps=(("conv1", "bn1", "act1", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
        channels=(64, 64, 128, 256, 512),
        strides=(4, 4, 8, 16, 32),
    )


def test_a_pyramid_gives_what_timm_gives() -> None:
    backbone = resnet()
    pixels = noise(2, 3, 64, 64)
    taps = backbone({"rgb": pixels[:, None]}, range(5))
    network = backbone.network
    _, inner = network.forward_intermediates(pixels)  # type: ignore[operator]
    for tap, grid in zip(taps[1:], inner[1:], strict=True):
        torch.testing.assert_close(tap.grid, grid, rtol=0, atol=0)
    torch.testing.assert_close(taps[0].grid, network.maxpool(inner[0]), rtol=0, atol=0)  # type: ignore[operator]
    torch.testing.assert_close(taps[-1].vector, network(pixels))
    for tap, layer in zip(taps, backbone.layers, strict=True):
        assert tap.grid.shape == (2, layer.channels, 64 // layer.stride, 64 // layer.stride)


class Counted(nn.Module):
    """A block that counts its calls."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block, self.calls = block, 0

    def forward(self, *arguments: Tensor) -> Tensor:
        self.calls += 1
        return self.block(*arguments)  # type: ignore[no-any-return]


def test_only_as_deep_as_asked_and_once() -> None:
    backbone = ViTBackbone(vit(), RGB, pool="cls")
    blocks = [Counted(block) for block in backbone.network.blocks]  # type: ignore[union-attr, arg-type]
    backbone.network.blocks = nn.ModuleList(blocks)
    images = {"rgb": noise(2, 1, 3, 32, 32)}
    backbone(images, [2, 0, 1, 2])
    assert [block.calls for block in blocks] == [1, 1, 0]
    backbone(images, [])
    assert [block.calls for block in blocks] == [1, 1, 0]


def test_the_radar_encoder_rests_until_the_joint_one_is_asked_for() -> None:
    network = croma()
    counted = Counted(network.s1_encoder)
    backbone = CROMABackbone(network, (*S2, *S1))
    backbone.network.s1_encoder = counted
    images = {"s1": noise(1, 1, 2, 32, 32), "s2": noise(1, 1, 12, 32, 32)}
    backbone(images, range(5))
    assert counted.calls == 0
    backbone(images, range(8))
    assert counted.calls == 1


def test_any_order_and_repetition_of_layers() -> None:
    backbone = ViTBackbone(vit(), RGB, pool="cls")
    images = {"rgb": noise(2, 1, 3, 32, 32)}
    every = backbone(images, range(5))
    for index, tap in zip([3, 0, 3], backbone(images, [3, 0, 3]), strict=True):
        assert torch.equal(tap.grid, every[index].grid)
    for wrong in ([5], [-1]):
        with pytest.raises(IndexError, match=r"no layer .*embedding\.\.norm"):
            backbone(images, wrong)


def test_states_are_not_drawn_beyond_the_deepest() -> None:
    drawn = []

    def states() -> Iterator[Tensor]:
        for index in range(4):
            drawn.append(index)
            yield torch.full((1, 1, 1, 1), float(index))

    layers = transformer_layers(3, 1, 1, norm=False)
    taps = tap_along(states(), [1], layers, lambda index, state: Tap(state, state.flatten(1)))
    assert drawn == [0, 1] and taps[0].vector.item() == 1.0


def hooks(module: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, kind)) for part in module.modules() for kind in kinds)


def every_backbone() -> list[ViTBackbone | CROMABackbone | PyramidBackbone]:
    dofa = seeded(lambda: DOFA(img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4, num_classes=0), 0)
    return [
        ViTBackbone(vit(), RGB, pool="cls"),
        DOFABackbone(dofa, RGB, wavelengths=[0.665, 0.56, 0.49]),
        CROMABackbone(croma(), S1),
        CROMABackbone(croma(), (*S2, *S1)),
        resnet(),
    ]


def test_all_are_frozen_and_leave_no_hook() -> None:
    for backbone in every_backbone():
        sensors = dict.fromkeys(band.sensor for band in backbone.bands)
        images = {s: noise(1, 1, sum(b.sensor == s for b in backbone.bands), 32, 32) for s in sensors}
        backbone(images, range(len(backbone.layers)))
        assert hooks(backbone) == 0
        assert not any(part.training for part in backbone.modules())
        assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_the_map_of_modules_resolves_and_means_what_it_says() -> None:
    for backbone in every_backbone()[:4]:
        blocks = [layer.name for layer in backbone.layers if layer.name.startswith("block")]
        assert list(backbone.modules_map) == blocks
        width = backbone.layers[0].channels
        for parts in backbone.modules_map.values():
            found = {name: backbone.get_submodule(path) for name, path in parts.items()}
            assert {"norm1", "qkv", "proj", "norm2", "fc1", "act", "fc2"} <= set(found)
            sizes = {name: (m.in_features, m.out_features) for name, m in found.items() if isinstance(m, nn.Linear)}
            assert sizes["qkv"] == (width, 3 * width) and sizes["proj"] == (width, width)
            assert sizes["fc1"] == (width, 4 * width) and sizes["fc2"] == (4 * width, width)
            assert all(isinstance(found[name], nn.LayerNorm) for name in ("norm1", "norm2"))
            assert isinstance(found["act"], nn.GELU)
            if "out" in found:
                assert found["out"] is not found["fc2"] and any(part is found["fc2"] for part in found["out"].modules())
    paths = [path for parts in every_backbone()[3].modules_map.values() for path in parts.values()]
    assert len(paths) == len(set(paths)) == 4 * 7 + 2 * 12
    assert every_backbone()[4].modules_map == {}


def test_a_seed_decides_every_bit_and_the_callers_numbers_go_on() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    one, same, other = (seeded(lambda: nn.Linear(5, 5), seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.weight, same.weight) and not torch.equal(one.weight, other.weight)


def test_a_copy_is_independent() -> None:
    backbone = ViTBackbone(vit(), RGB, pool="cls")
    images = {"rgb": noise(1, 1, 3, 32, 32)}
    before = backbone(images, [4])[0].vector.clone()
    copied = copy.deepcopy(backbone)
    copied.network.blocks[0].mlp.fc1.weight.zero_()  # type: ignore[index, union-attr]
    assert torch.equal(backbone(images, [4])[0].vector, before)
    assert not torch.equal(copied(images, [4])[0].vector, before)


def test_sensors_are_stacked_in_the_order_of_the_bands() -> None:
    s1, s2 = noise(2, 1, 2, 4, 4, seed=1), noise(2, 1, 12, 4, 4, seed=2)
    stacked = stack_sensors({"s1": s1, "s2": s2}, (*S2, *S1))
    assert torch.equal(stacked, torch.cat([s2[:, 0], s1[:, 0]], 1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"s2": noise(1, 1, 2, 4, 4)}, "loaded for s1; the images have s2"),
        ({"s1": noise(1, 3, 2, 4, 4)}, r"s1: images of shape \(1, 3, 2, 4, 4\); expected \(B, 1, 2, H, W\)"),
        ({"s1": noise(1, 1, 5, 4, 4)}, r"s1: images of shape \(1, 1, 5, 4, 4\)"),
        ({"s1": noise(1, 2, 4, 4)}, r"s1: images of shape \(1, 2, 4, 4\)"),
    ],
)
def test_other_input_is_refused(images: dict[str, Tensor], message: str) -> None:
    with pytest.raises(Incompatible, match=message):
        stack_sensors(images, S1)


@pytest.mark.benchmark
def test_tapping_costs_next_to_nothing() -> None:
    """ViT-S/16 as a backbone against its bare forward pass: processor time, the best of alternating runs."""
    network = seeded(lambda: timm.create_model("vit_small_patch16_224", num_classes=0), 0)
    backbone = ViTBackbone(network, RGB, pool="cls")
    images = {"rgb": noise(4, 1, 3, 224, 224)}
    ways = {
        "bare": lambda: network.forward_features(images["rgb"][:, 0]),
        "last layer": lambda: backbone(images, [13]),
        "all 14 layers": lambda: backbone(images, range(14)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(6):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name].append(time.process_time() - start)
    ratios = {name: min(runs) / min(seconds["bare"]) for name, runs in seconds.items()}
    print(f"\nViT-S/16 as a backbone / bare forward pass: {ratios}")
    # The goal is 1.03 for the wrapping; holding every layer takes fresh memory besides. Shared machines get leeway.
    assert ratios["last layer"] < 1.1 and ratios["all 14 layers"] < 1.2


def test_weights_of_a_file_are_the_only_copy(tmp_path, monkeypatch) -> None:
    """With a file the network is never built in memory of its own; what the file does not hold, it is built for."""
    from safetensors.torch import save_file

    from bench.networks import backbones

    path = tmp_path / "vit.safetensors"
    published = vit()
    save_file(published.state_dict(), path)
    pixels = noise(1, 3, 32, 32)
    real = []
    monkeypatch.setattr(backbones, "seeded", lambda build, seed: (real.append(seed), frozen(build()))[1])
    again = built(lambda: VisionTransformer(**FACTS), path, seed=3, entry="vit")
    assert not real and not any(part.is_meta for part in again.parameters())
    torch.testing.assert_close(again(pixels), published(pixels), rtol=0, atol=0)

    class Coded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)
            self.register_buffer("code", torch.arange(2.0), persistent=False)

    save_file(Coded().state_dict(), tmp_path / "coded.safetensors")
    coded = built(Coded, tmp_path / "coded.safetensors", seed=3, entry="coded")
    assert real == [3] and coded.code.tolist() == [0.0, 1.0]


def test_a_norm_that_a_publisher_leaves_out_is_plain(tmp_path) -> None:
    from safetensors.torch import save_file

    from bench.core.errors import MissingWeights

    state = {key: value + 1 for key, value in vit().state_dict().items()}
    lacking = {key: value for key, value in state.items() if not key.startswith("norm.")}
    save_file(lacking, tmp_path / "lacking.safetensors")
    network = built(
        lambda: VisionTransformer(**FACTS), tmp_path / "lacking.safetensors", seed=0, entry="vit", plain_norm="norm"
    )
    assert (network.norm.weight == 1).all() and (network.norm.bias == 0).all()
    with pytest.raises(MissingWeights, match=r"2 missing from the file \(norm\.weight, norm\.bias\)"):
        built(lambda: VisionTransformer(**FACTS), tmp_path / "lacking.safetensors", seed=0, entry="vit")
    del state["norm.bias"]
    save_file(state, tmp_path / "half.safetensors")
    with pytest.raises(MissingWeights, match=r"1 missing from the file \(norm\.bias\)"):
        built(lambda: VisionTransformer(**FACTS), tmp_path / "half.safetensors", seed=0, entry="vit", plain_norm="norm")
