"""Annotators with networks: the real PiDiNet, and the real classes of the others with weights that the test draws.

Beside each stands controlnet_aux's own detector with the same network: two ways to one map.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.core import images, weights
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import conditions
from pipelines.parts.conditions import Given, annotate, networks, relief

SIDE = 128
SHAPES = [(1, 200), (200, 1), (70, 500), (90, 60)]
FILES = {name: network.file for name, network in networks.NETWORKS.items()}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for annotators, where they are looked for; networks are shown small pictures."""
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    monkeypatch.setattr(networks, "LONG_PX", SIDE)
    (tmp_path / "annotators").mkdir()
    return tmp_path / "annotators"


@pytest.fixture
def models() -> Models:
    return Models("cpu")


def picture(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """A dark hole in uint8 grain."""
    pixels = np.random.default_rng(0).integers(120, 150, (height, width, 3)).astype(np.uint8)
    cv2.circle(pixels, (width // 2, height // 3), max(1, min(height, width) // 5), (40, 30, 20), -1)
    return pixels


def save_hed(home: Path) -> Any:
    from controlnet_aux.hed import ControlNetHED_Apache2, HEDdetector

    net = ControlNetHED_Apache2()
    torch.save(net.state_dict(), home / FILES["hed"])
    return HEDdetector(net.eval())


def save_pidinet(home: Path) -> Any:
    from controlnet_aux.pidi import PidiNetDetector
    from controlnet_aux.pidi.model import pidinet

    net = pidinet()
    tensors = {f"module.{name}": one for name, one in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": tensors, "optimizer": {"momentum": torch.ones(2)}}, home / FILES["pidinet"])
    return PidiNetDetector(net.eval())


def save_lineart(home: Path) -> Any:
    from controlnet_aux.lineart import Generator, LineartDetector

    net = Generator(3, 1, 3)
    torch.save(net.state_dict(), home / FILES["lineart"])
    return LineartDetector(net.eval(), None)


def save_midas(home: Path) -> Any:
    from controlnet_aux.midas import MidasDetector
    from controlnet_aux.midas.midas.dpt_depth import DPTDepthModel

    net = DPTDepthModel(path=None, backbone="vitb_rn50_384", non_negative=True)
    with torch.no_grad():
        net.scratch.output_conv[4].bias.fill_(5)  # else the last ReLU may answer 0 everywhere
    torch.save(net.state_dict(), home / FILES["midas"])
    return MidasDetector(net.eval())


def save_normalbae(home: Path) -> Any:
    from controlnet_aux.normalbae import NormalBaeDetector
    from controlnet_aux.normalbae.nets.NNET import NNET

    settings = {"mode": "client", "architecture": "BN", "pretrained": "scannet"}
    net = NNET(SimpleNamespace(**settings, sampling_ratio=0.4, importance_ratio=0.7))
    torch.save({"model": {f"module.{name}": one for name, one in net.state_dict().items()}}, home / FILES["normalbae"])
    return NormalBaeDetector(net.eval())


def save_depth_anything(home: Path) -> None:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    sizes = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 70, "patch_size": 14}
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = Dinov2Config(**sizes, mlp_ratio=2, out_features=stages, reshape_hidden_states=False)
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    save_transformer(DepthAnythingForDepthEstimation(config), home / FILES["depth-anything"], 70, True, 14)


def save_dpt(home: Path) -> None:
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    save_transformer(DPTForDepthEstimation(config), home / FILES["dpt"], 64, False, 1)


def save_transformer(net: Any, folder: Path, side: int, keeps: bool, step: int) -> None:
    """As the hub has it: config.json, model.safetensors, preprocessor_config.json."""
    from transformers import DPTImageProcessor

    net.save_pretrained(folder)
    size = {"height": side, "width": side}
    DPTImageProcessor(size=size, keep_aspect_ratio=keeps, ensure_multiple_of=step).save_pretrained(folder)


SMALL: list[tuple[str, str, Callable[[Path], Any]]] = [
    ("hed", "hed", save_hed),
    ("hed", "pidinet", save_pidinet),
    ("lineart", "lineart", save_lineart),
    ("depth", "depth-anything", save_depth_anything),
    ("depth", "dpt", save_dpt),
]
LARGE: list[tuple[str, str, Callable[[Path], Any]]] = [
    ("depth", "midas", save_midas),
    ("normal", "normalbae", save_normalbae),
]
EVERY = [*SMALL, *(pytest.param(*case, marks=pytest.mark.long) for case in LARGE)]
DETECTORS = [*SMALL[:3], *(pytest.param(*case, marks=pytest.mark.long) for case in LARGE)]


def test_the_published_pidinet_finds_the_outline_of_a_real_hazelnut(
    test_data: Path,
    home: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    published = test_data.parent / "weights" / "pidinet" / FILES["pidinet"]
    if not published.is_file():
        pytest.skip(f"no {published.name} stands beside the folder FLAWSMITH_TEST_DATA names")
    (home / published.name).symlink_to(published)
    pixels = images.smaller(images.read(test_data / "mvtec_ad" / "hazelnut" / "test" / "good" / "006.png").pixels, 256)
    monkeypatch.setattr(networks, "LONG_PX", 256)
    made = annotate("hed", "auto", Given(images.to_float(pixels)), models)
    assert made.annotator == "pidinet"
    part = conditions.shading.outline(images.to_float(pixels))
    assert part is not None
    rim = cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    around = cv2.dilate(part.astype(np.uint8), np.ones((31, 31), np.uint8)) == 0
    soft = annotate("hed", "built-in", Given(images.to_float(pixels)), models).pixels[..., 0]
    for edges in (made.pixels[..., 0], soft):
        assert edges[rim].mean() > 0.3
        assert edges[around].mean() < 0.02
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", ""), "controlnet_aux has things to say at its first import"


@pytest.mark.parametrize(("kind", "name", "save"), EVERY)
def test_a_network_answers_in_the_size_of_any_picture(
    kind: str, name: str, save: Callable[[Path], Any], home: Path, models: Models
) -> None:
    torch.manual_seed(0)
    with networks.quiet():
        save(home)
    assert conditions.chosen(kind, "auto", surface=False, painted=False) == name
    assert conditions.needs_weights(kind, name)
    given = [images.to_float(picture(*shape)) for shape in SHAPES]
    given += [np.full((60, 60, 3), 0.5, np.float32), images.to_float(picture().astype(np.uint16) * 257)]
    for one in given:
        made = annotate(kind, "auto", Given(one), models)
        assert made.annotator == name
        assert made.pixels.shape == one.shape
        assert made.pixels.dtype == np.float32
        assert np.isfinite(made.pixels).all()
        assert 0 <= made.pixels.min() <= made.pixels.max() <= 1
    (held,) = models.report()
    assert held["key"]["part"] == name
    assert held["bytes"] > 1000


@pytest.mark.parametrize(("kind", "name", "save"), DETECTORS)
def test_a_network_draws_what_controlnet_aux_draws_with_it(
    kind: str, name: str, save: Callable[[Path], Any], home: Path, models: Models
) -> None:
    torch.manual_seed(1)
    with networks.quiet():
        detector = save(home)
        shown = Image.fromarray(picture())
        theirs = np.asarray(detector(shown, detect_resolution=SIDE, image_resolution=SIDE, output_type="np"))
    ours = annotate(kind, name, Given(images.to_float(picture())), models).pixels
    tolerance = 0.05 if name == "normalbae" else 1.01 / 255  # theirs cuts to 8 bits; and does not normalise
    assert np.abs(ours - theirs / np.float32(255)).max() <= tolerance


def test_normals_from_depth_are_of_whichever_network_is_here(home: Path, models: Models) -> None:
    torch.manual_seed(0)
    save_dpt(home)
    made = annotate("normal", "auto", Given(images.to_float(picture())), models)
    assert made.annotator == "from-depth"
    assert (relief.normals_of(made.pixels)[..., 2] > 0).all()
    assert {entry["key"]["part"] for entry in models.report()} == {"dpt"}


def test_auto_takes_the_best_that_is_here(home: Path) -> None:
    for name in ("depth", "normal", "hed"):
        assert conditions.chosen(name, "auto", surface=False, painted=False) == "built-in"
    for name in ("midas", "pidinet", "normalbae"):
        (home / FILES[name]).write_bytes(b"weights")
    assert conditions.chosen("depth", "auto", surface=False, painted=False) == "midas"
    assert conditions.chosen("normal", "auto", surface=False, painted=False) == "normalbae"
    assert conditions.chosen("hed", "auto", surface=False, painted=False) == "pidinet"
    for name in ("dpt", "depth-anything"):
        (home / FILES[name]).mkdir()
        (home / FILES[name] / "config.json").write_text("{}")
    (home / FILES["hed"]).write_bytes(b"weights")
    assert conditions.chosen("depth", "auto", surface=False, painted=False) == "depth-anything"
    assert conditions.chosen("depth", "auto", surface=True, painted=False) == "exact"
    assert conditions.chosen("hed", "auto", surface=False, painted=False) == "hed"


def test_damaged_weights_are_refused_in_a_sentence(home: Path, models: Models) -> None:
    path = home / FILES["pidinet"]
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(BadInput, match=r"^table5_pidinet\.pth is cut off or no file of weights; fetch it again"):
        annotate("hed", "pidinet", Given(images.to_float(picture())), models)
    torch.save({"state_dict": {"module.block.weight": torch.ones(3)}}, path)
    with pytest.raises(BadInput, match=r"^table5_pidinet\.pth holds the weights of another network: fetch it again"):
        annotate("hed", "pidinet", Given(images.to_float(picture())), models)
    assert models.report() == []


def test_code_in_a_checkpoint_is_not_run(home: Path, models: Models, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"state_dict": {"weight": torch.ones(2), "more": Trap()}}, home / FILES["pidinet"])
    with pytest.raises(BadInput, match=r"table5_pidinet\.pth holds more than weights"):
        annotate("hed", "pidinet", Given(images.to_float(picture())), models)
    assert not (tmp_path / "ran").exists()


def test_a_damaged_folder_of_transformers_is_refused_in_a_sentence(home: Path, models: Models) -> None:
    torch.manual_seed(0)
    save_dpt(home)
    folder = home / FILES["dpt"]
    given = Given(images.to_float(picture()))
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(
        BadInput, match=r"^dpt/model\.safetensors is cut off: \d+ of \d+ bytes are here; fetch it again"
    ):
        annotate("depth", "dpt", given, models)
    from safetensors.torch import load, save_file

    tensors = load(whole)
    del tensors[next(iter(tensors))]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"^dpt in annotators lacks some of its tensors: fetch the folder again"):
        annotate("depth", "dpt", given, models)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(BadInput, match=r"^dpt in annotators cannot be opened .*preprocessor_config\.json"):
        annotate("depth", "dpt", given, models)
