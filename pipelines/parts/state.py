"""The state of a training as one folder: what learns, what its optimiser remembers, its running mean, its numbers.

Knows tensors and a folder; neither steps nor losses. Weights that are no numbers are never written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipelines.core import files
from pipelines.parts import optimizers

FILE = "state.safetensors"
LEARNED, REMEMBERED, MEAN = "learned.", "optimizer.", "mean."


@dataclass(frozen=True)
class State:
    """What a step changes."""

    optimizer: Any
    mean: Any = None
    """diffusers' EMAModel, where a running mean is kept."""
    scaler: Any = None
    """torch's GradScaler, with fp16."""

    def write(self, folder: Path, learned: Mapping[str, Tensor]) -> None:
        """Its tensors. `facts` goes beside them. Raises DiskFull, Problem."""
        remembered, _ = optimizers.pack(self.optimizer)
        parts = ((LEARNED, learned), (REMEMBERED, remembered), (MEAN, self._shadows()))
        tensors = {f"{start}{key}": one.detach().cpu() for start, part in parts for key, one in part.items()}
        # not save_file: on a full disk it leaves a torn file and an error of its own
        files.write_bytes(folder / FILE, save({key: one.contiguous() for key, one in tensors.items()}))

    def facts(self) -> dict[str, Any]:
        """What is no tensor, fit for JSON."""
        _, table = optimizers.pack(self.optimizer)
        found: dict[str, Any] = {"optimizer": table}
        if self.mean is not None:
            found["mean_steps"] = self.mean.optimization_step
        if self.scaler is not None:
            found["scaler"] = self.scaler.state_dict()
        return found

    def read(self, folder: Path, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """Takes up what was written, and returns what was learned."""
        tensors = load_file(str(folder / FILE))
        optimizers.unpack(self.optimizer, _below(tensors, REMEMBERED), facts["optimizer"])
        if self.mean is not None:
            self.mean.optimization_step = facts["mean_steps"]
            for key, one in _below(tensors, MEAN).items():
                self.mean.shadow_params[int(key)].copy_(one)
        if self.scaler is not None:
            self.scaler.load_state_dict(facts["scaler"])
        return _below(tensors, LEARNED)

    def _shadows(self) -> dict[str, Tensor]:
        return {} if self.mean is None else {str(place): one for place, one in enumerate(self.mean.shadow_params)}


def learned(folder: Path) -> dict[str, Tensor]:
    """What a checkpoint holds of what learned."""
    return _below(load_file(str(folder / FILE)), LEARNED)


def running_mean(parameters: Sequence[nn.Parameter], decay: float) -> Any:
    """A running mean of these, by diffusers (its decay rises over the first steps)."""
    from diffusers.training_utils import EMAModel

    return EMAModel(list(parameters), decay=decay)


def _below(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {key.removeprefix(start): one for key, one in tensors.items() if key.startswith(start)}
