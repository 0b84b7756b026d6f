"""The parts of a base from files into memory: a diffusers folder, one file with all, a denoiser laid over a base.

Weights come in by safeload's rules: safetensors, whole and finite, never code. Knows folders and classes; no family by
name and no registry.
"""

import json
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import single_file_utils as single
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipelines.core import safeload
from pipelines.core.errors import BadInput, Missing
from pipelines.parts.family import Family, Source

# What diffusers and transformers raise for files that are not what their configuration says.
UNFIT = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    single.SingleFileComponentError,
    StrictDataclassError,
)

DENOISER = "model.diffusion_model."
# Part -> how its tensors begin in a file that holds everything.
WITHIN: dict[str, tuple[str, ...]] = {
    "unet": (DENOISER,),
    "transformer": (DENOISER,),
    "vae": ("first_stage_model.", "vae."),
}
ENCODERS = ("cond_stage_model.", "conditioner.", "text_encoders.")
T5 = "text_encoders.t5xxl."


TILE_PX, SMALL_TILE_PX = 1024, 512
"""A picture wider or higher than this goes through the autoencoder in tiles that overlap: less memory, and a quarter of
each tile computed twice. The autoencoder's own idea of large is the size it was trained at.
"""


class Loader:
    """Builds the parts of one source, in the number format `dtype` (a name such as `bfloat16`) on `device`."""

    def __init__(
        self, source: Source, family: type[Family], dtype: str, device: str, *, tile_px: int = TILE_PX
    ) -> None:
        self.tile_px = tile_px
        self.source = source
        self.family = family
        self.dtype = getattr(torch, dtype)
        self.device = device
        hush()

    def look(self) -> list[str]:
        """The parts there are. Every file is looked at, so that what is missing or cut off is said before any is read.

        Raises Missing, BadInput naming the file that is wrong.
        """
        there = [name for name in self.family.parts if self._there(name)]
        for name in there:
            if self.index.get(name, [None])[0] is None:
                raise BadInput(
                    f"{self.source.folder.name} has no {name}, so it makes no picture alone: choose another base"
                )
            file = self._file_of(name)
            if file is None:
                self._weights(name)
            elif file == self.source.file and not self._keys(name):
                raise BadInput(f"{file.name} brings no {name}: lay it over a base as its denoiser instead (`over`)")
            else:
                safeload.check(file)
        for name in (*self._spoken(), "scheduler"):
            self._folder(name)
        return there

    def part(self, name: str) -> Any:
        """One model, ready to compute. Raises Missing, BadInput naming the file that is wrong."""
        file = self._file_of(name)
        if file is None:
            model = self._from_folder(name)
        elif file == self.source.file:
            model = self._from_whole(name, file)
        else:
            model = self._converted(name, file, _within(safeload.tensors(file)))
        check(model, file.name if file is not None else f"{self.source.folder.name}/{name}")
        model.requires_grad_(False)
        if name == "vae":
            model.enable_tiling()
            model.tile_sample_min_size = self.tile_px
            model.tile_latent_min_size = self.tile_px // 2 ** (len(model.config.block_out_channels) - 1)
        return model.to(self.device).eval()

    def tokenizers(self) -> dict[str, Any]:
        return {
            name: self._class(name).from_pretrained(self._folder(name), local_files_only=True)
            for name in self._spoken()
        }

    def schedule(self) -> dict[str, Any]:
        """The noise schedule the base was trained with."""
        import diffusers

        return dict(diffusers.DDIMScheduler.load_config(self._folder("scheduler"), local_files_only=True))

    def _spoken(self) -> tuple[str, ...]:
        """The tokenizers there are: one of an encoder that is left out may be left out too."""
        silent = {part.replace("text_encoder", "tokenizer") for part in self.family.optional if not self._there(part)}
        named = [name for name in self.family.tokenizers if self.index.get(name, [None])[0]]
        return tuple(name for name in named if name not in silent or (self.source.folder / name).is_dir())

    def _there(self, name: str) -> bool:
        """Whether a part is there; only one that the family also works without may not be."""
        if name not in self.family.optional:
            return True
        if self.index.get(name, [None])[0] is None:
            return False
        return bool(self._keys(name)) if self.source.file else (self.source.folder / name).is_dir()

    def _file_of(self, name: str) -> Path | None:
        """The single file a part comes out of; None where it has a folder."""
        if name == self.family.denoiser_part and self.source.denoiser_file is not None:
            return self.source.denoiser_file
        return self.source.file

    def _keys(self, name: str) -> list[str]:
        """The tensors in the file with everything that a part may be made of."""
        assert self.source.file is not None
        found = safeload.check(self.source.file)
        if name in WITHIN:
            return [key for key in found if key.startswith(WITHIN[name])]
        t5 = self._is_t5(name)
        return [key for key in found if key.startswith(ENCODERS) and key.startswith(T5) == t5]

    def _is_t5(self, name: str) -> bool:
        return str((self.index.get(name) or ("", ""))[1]).startswith("T5")

    @cached_property
    def index(self) -> dict[str, Any]:
        return index_of(self.source.folder)

    def _class(self, name: str) -> Any:
        """The class the folder names for a part, of diffusers or transformers and nothing else."""
        import diffusers
        import transformers

        library, cls = (*(self.index.get(name) or ()), None, None)[:2]
        home = {"diffusers": diffusers, "transformers": transformers}.get(str(library))
        found = getattr(home, str(cls), None)
        if not isinstance(found, type):
            raise BadInput(
                f"model_index.json of {self.source.folder.name} names no class for its {name}: fetch it again"
            )
        return found

    def _folder(self, name: str) -> Path:
        folder = self.source.folder / name
        if not folder.is_dir():
            raise Missing(f"{self.source.folder.name} has no folder {name}: copy it from where the base came from")
        return folder

    def _weights(self, name: str) -> list[Path]:
        return whole_files(self._folder(name), f"{self.source.folder.name}/{name}")

    def _from_folder(self, name: str) -> Any:
        return from_folder(self._class(name), self._folder(name), self.dtype, f"{self.source.folder.name}/{name}")

    def _from_whole(self, name: str, file: Path) -> Any:
        """One part out of a file with everything: no other part of it is read."""
        safeload.check(file)
        try:
            with safe_open(file, "pt") as opened:
                tensors = {key: opened.get_tensor(key) for key in self._keys(name)}
        except SafetensorError as error:
            raise BadInput(f"{file.name} is damaged ({error}); fetch it again") from error
        if not tensors:
            raise BadInput(f"{file.name} brings no {name}: lay it over a base as its denoiser instead (`over`)")
        return self._converted(name, file, tensors)

    def _converted(self, name: str, file: Path, tensors: dict[str, Tensor]) -> Any:
        """A part built as the configuration in the folder says, of tensors in the original layout or diffusers' own."""
        cls = self._class(name)
        if name == self.family.denoiser_part:
            tensors = self.family.in_diffusers_words(tensors)
        build: Callable[..., Any]
        if hasattr(cls, "from_single_file"):
            build = cls.from_single_file
        elif self._is_t5(name):
            build = partial(single.create_diffusers_t5_model_from_checkpoint, cls)
        else:
            build = partial(single.create_diffusers_clip_model_from_ldm, cls)
        try:
            model = build(
                tensors, config=str(self.source.folder), subfolder=name, local_files_only=True, torch_dtype=self.dtype
            )
            if self._is_t5(name):
                model.tie_weights()  # its table of words has two names, of which files hold one
            return model
        except UNFIT as error:
            raise BadInput(
                f"{file.name} does not fit {self.source.folder.name} ({_first(error)}): it is for another base"
            ) from error


def whole_files(folder: Path, called: str) -> list[Path]:
    """The files of a model in its folder, each of them whole. Raises Missing, BadInput."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise Missing(f"{called} holds no .safetensors file: fetch it again, or save it as safetensors")
    for index in folder.glob(f"*.index{'.fp16' if _variant(weights) else ''}.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{index.name} of {called} is damaged: copy or fetch it again") from error
        lacking = sorted(shards - {file.name for file in weights})
        if lacking and ".safetensors." in index.name:
            raise Missing(f"{called} lacks {lacking[0]}: copy it from where the base came from, or fetch it again")
    for file in weights:
        safeload.check(file)
    return weights


def from_folder(cls: Any, folder: Path, dtype: torch.dtype, called: str) -> Any:
    """A model of this class as a folder holds it; `called` is what it is called. Raises Missing, BadInput."""
    weights = whole_files(folder, called)
    try:
        model, found = cls.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **_variant(weights),
        )
    except UNFIT as error:
        raise BadInput(f"{called} cannot be read ({_first(error)}): copy or fetch it again") from error
    for key in sorted(found["missing_keys"]):  # the libraries would fill them with random numbers
        raise BadInput(f"{called} lacks the tensor {key!r}: it was made for another model")
    return model


def check(model: Any, called: str) -> None:
    """Raises BadInput where a tensor is missing or not finite."""
    for key, tensor in model.state_dict().items():
        if tensor.device.type == "meta":
            raise BadInput(f"{called} lacks the tensor {key!r}: it was made for another model")
        if not safeload.finite(tensor):
            raise BadInput(
                f"{called}: {key!r} holds NaN or infinity, so it would spoil every picture; use another file"
            )


def index_of(folder: Path) -> dict[str, Any]:
    """model_index.json: part -> (library, class), and settings of the whole. Raises Missing, BadInput."""
    path = folder / "model_index.json"
    if not path.is_file():
        raise Missing(f"{folder.name} has no model_index.json: it is no base in diffusers layout")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"model_index.json of {folder.name} is damaged: copy or fetch it again") from error
    if not isinstance(found, dict):
        raise BadInput(f"model_index.json of {folder.name} is damaged: copy or fetch it again")
    return found


def _within(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The denoiser of a file that may hold more, named as in a file with everything.

    One alone in the original layout may stand without its beginning, which diffusers looks for.
    """
    if any(key.startswith(DENOISER) for key in tensors):
        return {key: tensor for key, tensor in tensors.items() if key.startswith(DENOISER)}
    bare = "input_blocks.0.0.weight" in tensors
    return {f"{DENOISER}{key}": tensor for key, tensor in tensors.items()} if bare else tensors


def _variant(weights: list[Path]) -> dict[str, str]:
    """`fp16` where only that edition of the weights is here."""
    plain = [file for file in weights if ".fp16" not in file.name]
    return {} if plain else {"variant": "fp16"}


def _first(error: BaseException) -> str:
    """The first line of what a library says; what it says of tensors nobody filled is no use to a person."""
    if "meta tensor" in str(error):
        return "it lacks some of the tensors"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def hush() -> None:
    """A worker's stderr is a log: no bar for each part, no warning of what is as it should be. Errors still pass."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    of_transformers.disable_progress_bar()
    of_diffusers.set_verbosity_error()
