"""The networks that see edges, lines, depth and normals: their files, how each is opened and what it is shown.

Weights lie in the folder `annotators` of the models folder, under the names their authors gave them; classes come from
controlnet_aux and transformers, imported when the first one is wanted. controlnet_aux's own loaders run what is inside
a pickle and its detectors round to 8 bits, so only its classes are used. Knows nothing of conditions.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from safetensors import SafetensorError

from pipelines.core import safeload, weights
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Key, Models

if TYPE_CHECKING:
    from torch import Tensor

HOME = "annotators"
SHORT_PX, LONG_PX, STEP_PX = 512, 1024, 64
"""A network is shown a picture of this short side, as its ControlNet was trained; no longer than, and in steps of."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's."""
INSIDE = ("state_dict.", "model.")
"""Where some authors keep the tensors within their file; beside them lie the optimiser's."""
UNFIT = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, SafetensorError)
"""What transformers raises for files that are not what their configuration says."""


@dataclass(frozen=True)
class Size:
    """How large a picture a network is shown."""

    short_px: int = SHORT_PX
    step_px: int = STEP_PX
    square: bool = False
    """Whatever the picture's shape: its places are counted."""

    def of(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(height, width); a strip of one pixel is widened to one step."""
        if self.square:
            return self.short_px, self.short_px
        scale = min(self.short_px / min(shape[:2]), LONG_PX / max(shape[:2]))
        height, width = (max(1, round(side * scale / self.step_px)) * self.step_px for side in shape[:2])
        return height, width


@dataclass(frozen=True)
class Opened:
    """A network in memory, its own size, and what it answers."""

    net: Any
    see: Callable[[Any, "Tensor"], "Tensor"]
    """(network, RGB 1x3xHxW in [0, 1]) -> 1xCxhxw."""
    size: Size = Size()

    @property
    def components(self) -> Mapping[str, Any]:
        """What the registry measures."""
        return {"net": self.net}


@dataclass(frozen=True)
class Network:
    """What a network is opened from."""

    file: str
    source: str
    build: Callable[[Path], Opened]
    """From the file or folder, on the CPU."""


def missing(name: str) -> Missing | None:
    """The sentence for a network that is not here; None for one that is."""
    network = NETWORKS[name]
    path = _path(name)
    if path.is_file() or (path / "config.json").is_file():
        return None
    return Missing(
        f"{network.file} is not in {path.parent.parent.name}/{HOME}: put it there (it is {network.source} on Hugging"
        " Face), or choose built-in or auto, which takes the best that is here"
    )


def answer(name: str, picture: np.ndarray, models: Models) -> np.ndarray:
    """What the network says of a picture float32 HxWx3 in [0, 1]: float32 HxW or HxWxC of its size, finite.

    Raises Missing without its weights, BadInput where they are damaged or another network's.
    """
    if (sentence := missing(name)) is not None:
        raise sentence
    import torch

    device = models.device.name
    key = Key(HOME, name, "float32", device)
    silent = warnings.catch_warnings(action="ignore")
    with models.use(key, partial(_open, name, device)) as opened, torch.no_grad(), silent:
        height, width = opened.size.of(picture.shape)
        shown = cv2.resize(picture, (width, height), interpolation=_kernel(picture.shape, (height, width)))
        given = torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1)))[None].to(device)
        found = opened.see(opened.net, given)[0].float().cpu().numpy().transpose(1, 2, 0)
    size = (picture.shape[1], picture.shape[0])
    found = np.ascontiguousarray(np.nan_to_num(found, posinf=0, neginf=0), np.float32)
    return np.asarray(cv2.resize(found, size, interpolation=_kernel(found.shape, picture.shape)))


@contextmanager
def quiet() -> Iterator[None]:
    """controlnet_aux warns of every optional package it does without, and its networks print what they do."""
    with warnings.catch_warnings(action="ignore"), redirect_stdout(None):
        yield


def _kernel(was: tuple[int, ...], becomes: tuple[int, ...]) -> int:
    return cv2.INTER_AREA if becomes[0] * becomes[1] < was[0] * was[1] else cv2.INTER_LINEAR


def _path(name: str) -> Path:
    return weights.folder() / HOME / NETWORKS[name].file


def _open(name: str, device: str) -> Opened:
    with quiet():
        opened = NETWORKS[name].build(_path(name))
        opened.net.to(device).eval().requires_grad_(False)
    return opened


def _filled(net: Any, path: Path) -> Any:
    """The network with the tensors of a pickle, every one of them and no other. Raises BadInput."""
    found = safeload.pickle_tensors(path)
    for inside in INSIDE:
        found = {key.removeprefix(inside): one for key, one in found.items() if key.startswith(inside)} or found
    try:
        net.load_state_dict({key.removeprefix("module."): one for key, one in found.items()})
    except RuntimeError as error:
        raise BadInput(f"{path.name} holds the weights of another network: fetch it again") from error
    return net


def _shifted(given: "Tensor", mean: tuple[float, ...], spread: tuple[float, ...]) -> "Tensor":
    shift, scale = (given.new_tensor(one).view(1, 3, 1, 1) for one in (mean, spread))
    return (given - shift) / scale


def _hed(path: Path) -> Opened:
    """HED (arXiv 1504.06375) as ControlNet's authors trained it anew: the mean of its five side outputs."""
    from controlnet_aux.hed import ControlNetHED_Apache2

    def see(net: Any, given: "Tensor") -> "Tensor":
        import torch
        import torch.nn.functional as F

        sides = [F.interpolate(one, given.shape[2:], mode="bilinear") for one in net(given * 255)]
        return torch.sigmoid(torch.stack(sides).mean(0))

    return Opened(_filled(ControlNetHED_Apache2(), path), see)


def _pidinet(path: Path) -> Opened:
    """PiDiNet (arXiv 2108.07009); controlnet_aux shows it blue first."""
    from controlnet_aux.pidi.model import pidinet

    return Opened(_filled(pidinet(), path), lambda net, given: net(given.flip(1))[-1])


def _lineart(path: Path) -> Opened:
    """The fine one of the two drawers of arXiv 2203.12691; dark lines on white, turned over."""
    from controlnet_aux.lineart import Generator

    return Opened(_filled(Generator(3, 1, 3), path), lambda net, given: 1 - net(given))


def _midas(path: Path) -> Opened:
    """MiDaS 3.0, DPT hybrid (arXiv 2103.13413)."""
    from controlnet_aux.midas.midas.dpt_depth import DPTDepthModel

    net = _filled(DPTDepthModel(path=None, backbone="vitb_rn50_384", non_negative=True), path)
    return Opened(net, lambda net, given: net(given * 2 - 1)[:, None])


def _normalbae(path: Path) -> Opened:
    """Surface normals with uncertainty (arXiv 2109.09881)."""
    from controlnet_aux.normalbae.nets.NNET import NNET

    settings = SimpleNamespace(
        mode="client", architecture="BN", pretrained="scannet", sampling_ratio=0.4, importance_ratio=0.7
    )
    return Opened(_filled(NNET(settings), path), lambda net, given: net(_shifted(given, MEAN, SPREAD))[0][-1][:, :3])


def _transformer(path: Path) -> Opened:
    """Any network for depth in the layout of transformers, shown what its preprocessor_config.json says."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForDepthEstimation
    from transformers.utils import logging

    logging.disable_progress_bar()
    for file in weights.weight_files(path):
        safeload.check(file, f"{path.name}/{file.name}")
    try:
        said = json.loads((path / "preprocessor_config.json").read_bytes())
        mean, spread = said["image_mean"], said["image_std"]
        keeps = bool(said.get("keep_aspect_ratio"))
        size = Size(int(said["size"]["height"]), int(said.get("ensure_multiple_of", 1)), not keeps)
        net, report = AutoModelForDepthEstimation.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (*UNFIT, StrictDataclassError) as error:
        raise BadInput(
            f"{path.name} in {HOME} cannot be opened as a network for depth"
            f" ({(str(error).strip().splitlines() or ['no reason given'])[0][:160]}): fetch the folder again"
        ) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise BadInput(f"{path.name} in {HOME} lacks some of its tensors: fetch the folder again")

    return Opened(net, lambda net, given: net(_shifted(given, mean, spread)).predicted_depth[:, None], size)


SHELF = "in lllyasviel/Annotators"
NETWORKS: dict[str, Network] = {
    "hed": Network("ControlNetHED.pth", SHELF, _hed),
    "pidinet": Network("table5_pidinet.pth", SHELF, _pidinet),
    "lineart": Network("sk_model.pth", SHELF, _lineart),
    "midas": Network("dpt_hybrid-midas-501f0c75.pt", SHELF, _midas),
    "dpt": Network("dpt", "for example Intel/dpt-hybrid-midas", _transformer),
    "depth-anything": Network(
        "depth-anything-v2", "for example depth-anything/Depth-Anything-V2-Small-hf", _transformer
    ),
    "normalbae": Network("scannet.pt", SHELF, _normalbae),
}
