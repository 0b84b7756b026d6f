"""The numbers of a training as TensorBoard reads them. Knows names and numbers; no training."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np


class Curves:
    """Writes event files into a folder; what an earlier process wrote at or after `step` no longer counts."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step)

    def note(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def show(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture, uint8 HxWx3."""
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()
