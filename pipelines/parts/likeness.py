"""How far a painted area is from the good part, as eyes see it: LPIPS where its weights are here, else SSIM.

LPIPS (arXiv 1801.03924) with AlexNet, as DefectFill chooses among candidates: the map, averaged over the mask.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from pipelines.core import images, safeload, weights
from pipelines.core.errors import Missing
from pipelines.core.models import Key, Models
from pipelines.parts import crop

FILES = ("alexnet-owt-7be5be79.pth", "alex.pth")
"""In the folder `lpips` of the models folder: torchvision's AlexNet, and the linear heads of LPIPS 0.1."""
STAGES = (2, 5, 8, 10, 12)
"""After which layers of AlexNet's `features` LPIPS compares."""
AROUND_PX, SIDE = 16, 256
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def apart(
    before: np.ndarray, candidates: Sequence[np.ndarray], mask: np.ndarray, white: int, models: Models
) -> tuple[str, list[float]]:
    """Which measure was used, `lpips` or `ssim`, and how far each candidate is inside the mask; more is further.

    mask: bool HxW. Pictures are HxW or HxWx3 of integers up to `white`.
    """
    box = crop.around(mask, AROUND_PX)
    inside = mask[box.window]
    good = images.to_float(before[box.window], white)
    others = [images.to_float(one[box.window], white) for one in candidates]
    if not missing():
        with opened(models) as net:
            return "lpips", [_within(net.map(good, one), inside) for one in others]
    return "ssim", [_within(1 - _ssim(good, one), inside) for one in others]


def missing() -> list[Path]:
    """The files of LPIPS that are not here."""
    return [path for file in FILES if not (path := weights.folder() / "lpips" / file).is_file()]


@contextmanager
def opened(models: Models) -> Iterator["Lpips"]:
    """The network, held as every other model. Raises Missing naming the files and where they come from."""
    if away := missing():
        raise Missing(
            f"LPIPS is not here: put {' and '.join(one.name for one in away)} into {away[0].parent}; the first is"
            " torchvision's AlexNet (download.pytorch.org/models), the second comes with the package lpips 0.1"
        )
    key = Key("lpips", "alex", "float32", models.device.name)
    with models.use(key, partial(_load, weights.folder() / "lpips", models.device.name)) as net:
        yield net


def _within(values: np.ndarray, inside: np.ndarray) -> float:
    return float(values[inside].mean())


def _ssim(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    side = min(7, (min(one.shape[:2]) - 1) // 2 * 2 + 1)
    found = structural_similarity(one, other, channel_axis=2, data_range=1.0, full=True, win_size=side)[1]
    return np.asarray(found.mean(axis=2))


def _load(folder: Path, device: str) -> "Lpips":
    features, heads = (safeload.pickle_tensors(folder / file) for file in FILES)
    return Lpips(features, heads).to(device).eval().requires_grad_(False)


class Lpips(nn.Module):
    """LPIPS 0.1 over AlexNet."""

    def __init__(self, features: dict[str, Tensor], heads: dict[str, Tensor]) -> None:
        super().__init__()
        from torchvision.models import alexnet

        net: Any = alexnet(weights=None)
        net.load_state_dict(features)
        self.features = net.features
        self.heads = nn.ParameterList(heads[f"lin{stage}.model.1.weight"] for stage in range(len(STAGES)))

    def map(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """float HxW of two pictures float32 HxWx3 in [0, 1]. Small ones are enlarged: AlexNet halves four times."""
        scale = max(1.0, SIDE / min(one.shape[:2]))
        size = (round(one.shape[0] * scale), round(one.shape[1] * scale))
        with torch.no_grad():
            found = self(self._given(one), self._given(other), size)[0, 0].cpu()
        return cv2.resize(found.numpy(), (one.shape[1], one.shape[0]), interpolation=cv2.INTER_LINEAR)

    def _given(self, picture: np.ndarray) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
        return values.to(self.heads[0].device) * 2 - 1

    def forward(self, one: Tensor, other: Tensor, size: tuple[int, int]) -> Tensor:
        """[B, 1, *size]: how far two pictures [B, 3, H, W] in [-1, 1] are apart at each place; has a gradient."""
        one, other = (self._seen(picture, size) for picture in (one, other))
        total = one.new_zeros(len(one), 1, *size)
        for number, layer in enumerate(self.features):
            one, other = layer(one), layer(other)
            if number + 1 in STAGES:
                apart = (F.normalize(one, dim=1, eps=1e-10) - F.normalize(other, dim=1, eps=1e-10)) ** 2
                weighed = F.conv2d(apart, self.heads[STAGES.index(number + 1)])
                total = total + F.interpolate(weighed, size=size, mode="bilinear")
        return total

    def _seen(self, pictures: Tensor, size: tuple[int, int]) -> Tensor:
        shift, scale = (torch.tensor(one, device=pictures.device).view(1, 3, 1, 1) for one in (_SHIFT, _SCALE))
        return F.interpolate((pictures - shift) / scale, size=size, mode="bilinear")
