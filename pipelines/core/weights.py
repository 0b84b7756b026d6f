"""What lies in a models folder, told without loading it: is a file whole, is a folder complete, what is a single file.

Reads headers and JSON only, and each file once while it stays as it is. Knows no base by name; imports no torch.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.core import safeload
from pipelines.core.errors import BadInput, Missing, Problem

VARIABLE = "FLAWSMITH_MODELS"
ROOT = Path(__file__).parents[2]
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
# A part of a pipeline that no family of ours uses.
LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")
# The beginning of a pipeline's class -> its family; the longer name first.
PIPELINES = {
    "StableDiffusionXL": "sdxl",
    "StableDiffusion3": "sd3",
    "StableDiffusion": "stable-diffusion",
    "Flux2": "flux2",
    "Flux": "flux",
}
SHARD = re.compile(r"(?P<stem>.+)-(?P<at>\d{5})-of-(?P<of>\d{5})")
ORIGINAL = "model.diffusion_model."
AUTOENCODER = ("first_stage_model.", "vae.")
ENCODERS = ("cond_stage_model.", "conditioner.", "text_encoders.")
ADAPTER = ("lora_unet_", "lora_te", ".lora_down.", ".lora_A.", ".lora.down.")

Shapes = Mapping[str, tuple[int, ...]]


class Content(NamedTuple):
    """What one file or folder of weights is: its family, its edition, and whether it is more than a denoiser."""

    family: str
    edition: str
    whole: bool = True
    side_px: int | None = None
    """Side of the pictures it was trained on, where its configuration says."""


def folder() -> Path:
    """Where weights lie: FLAWSMITH_MODELS, else models/ beside the program."""
    named = os.environ.get(VARIABLE, "")
    return Path(named).expanduser().absolute() if named else ROOT / "models"


def shapes(path: Path) -> Shapes:
    """The tensors of a safetensors file by name, with their shapes. Raises Missing, BadInput, Problem."""
    stat = _stat(path)
    found, problem = _read(str(path), stat)
    if problem is not None:
        raise type(problem)(str(problem))  # a new one each time: an exception that is kept gathers its tracebacks
    return found


def fault(path: Path) -> str | None:
    """What is wrong with one file, as a sentence; None where it is whole as far as a look can tell."""
    try:
        if path.suffix == ".safetensors":
            shapes(path)
        elif path.suffix == ".json":
            json_of(path)
        elif _stat(path)[1] == 0:
            raise BadInput(f"{path.name} is empty (0 bytes); fetch it again")
    except Problem as problem:
        return str(problem)
    return None


def elements(path: Path) -> int:
    """How many numbers the tensors of a safetensors file hold."""
    total = 0
    for shape in shapes(path).values():
        count = 1
        for side in shape:
            count *= side
        total += count
    return total


def single(path: Path) -> Content:
    """What a single file is, by the names and shapes of its tensors. Raises Missing, BadInput."""
    found = shapes(path)
    if any(mark in name or name.startswith(mark) for name in list(found)[:20] for mark in ADAPTER):
        raise BadInput(f"{path.name} is an adapter (LoRA), not a base: bring it into the adapters instead")
    inside = {name.removeprefix(ORIGINAL): shape for name, shape in found.items()}
    whole = any(name.startswith(AUTOENCODER) for name in found) and any(name.startswith(ENCODERS) for name in found)
    content = _flow(inside) or _diffusion(inside)
    if content is None:
        raise BadInput(
            f"{path.name} holds no denoiser the studio knows: a base is SD1, SD2, SDXL, SD3, FLUX.1 or FLUX.2"
        )
    return content._replace(whole=whole)


def in_folder(base: Path) -> Content:
    """What a diffusers folder is, by model_index.json and its denoiser's configuration. Raises BadInput, Missing."""
    index = _index(base)
    pipeline = str(index.get("_class_name"))
    family = next((family for start, family in PIPELINES.items() if pipeline.startswith(start)), None)
    if family is None:
        raise BadInput(f"model_index.json of {base.name} names {pipeline}, which no family of the studio opens")
    part = "unet" if family in ("stable-diffusion", "sdxl") else "transformer"
    config = json_of(base / part / "config.json")
    return Content(family, _edition_of(family, config, pipeline), side_px=_side(config, base / "vae" / "config.json"))


def _side(denoiser: Mapping[str, Any], vae: Path) -> int | None:
    side = denoiser.get("sample_size")
    levels = json_of(vae).get("block_out_channels") if vae.is_file() else None
    return side * 2 ** (len(levels) - 1) if isinstance(side, int) and isinstance(levels, list) else None


def lacking(base: Path) -> list[str]:
    """The parts that a diffusers folder does not have, by what its model_index.json promises. Raises BadInput."""
    gone = []
    for part, named in _index(base).items():
        if part.startswith("_") or part in LEFT_OUT or not isinstance(named, list) or named[:1] == [None]:
            continue
        place = base / part
        if part == "scheduler":
            whole = (place / "scheduler_config.json").is_file()
        elif part.startswith("tokenizer"):
            whole = any((place / name).is_file() for name in ("tokenizer.json", "vocab.json", "spiece.model"))
        else:
            whole = (place / "config.json").is_file() and _has_weights(place)
        if not whole:
            gone.append(part)
    return gone


def files(base: Path) -> list[Path]:
    """Every file of a folder that opening it may read: weights as safetensors, configurations, tokenizers."""
    return sorted(
        path
        for path in base.glob("**/*")
        if path.suffix in (".safetensors", ".json", ".txt", ".model", ".jinja")
        and path.is_file()
        and not any(part in LEFT_OUT or part.startswith(".") for part in path.relative_to(base).parts)
    )


def weight_files(base: Path) -> list[Path]:
    """The safetensors of a folder's parts; of two editions of one part, the plain one."""
    found = []
    for part in sorted({path.parent for path in files(base) if path.suffix == ".safetensors"}):
        here = sorted(part.glob("*.safetensors"))
        found += [path for path in here if ".fp16" not in path.name] or here
    return found


def _has_weights(place: Path) -> bool:
    names = [path.name.removesuffix(".safetensors") for path in place.glob("*.safetensors")]
    shards = [found for name in names if (found := SHARD.fullmatch(name))]
    if len(shards) < len(names):
        return True
    sets: dict[tuple[str, str], set[str]] = {}
    for one in shards:
        sets.setdefault((one["stem"], one["of"]), set()).add(one["at"])
    return any(len(there) == int(of) for (_, of), there in sets.items())


def _index(base: Path) -> dict[str, Any]:
    return json_of(base / "model_index.json")


def json_of(path: Path) -> dict[str, Any]:
    """A JSON file's table, read once while it stays as it is. Raises BadInput for a damaged one, Missing."""
    stat = _stat(path)
    if stat[1] < 0:
        raise Missing(f"{path.parent.name} has no {path.name}: copy or fetch it again")
    found = _parsed(str(path), stat)
    if found is None:
        raise BadInput(f"{path.parent.name}/{path.name} is damaged: it is no valid JSON; copy or fetch it again")
    return found


def _stat(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, -1)
    return (stat.st_mtime_ns, stat.st_size)


@lru_cache(4096)
def _parsed(path: str, stat: tuple[int, int]) -> dict[str, Any] | None:
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else {}


@lru_cache(512)
def _read(path: str, stat: tuple[int, int]) -> tuple[dict[str, tuple[int, ...]], Problem | None]:
    """The header of a file that is as it was at `stat`; a second question costs no read."""
    place = Path(path)
    try:
        safeload.check(place)
        with place.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return {name: tuple(one["shape"]) for name, one in header.items() if name != "__metadata__"}, None
    except Problem as problem:
        return {}, problem
    except (OSError, ValueError, TypeError, KeyError):
        return {}, BadInput(f"{place.name} is damaged: its header cannot be read; fetch it again")


def _diffusion(inside: Shapes) -> Content | None:
    """SD1, SD2 and SDXL: a UNet with cross-attention, in either layout."""
    first = inside.get("input_blocks.0.0.weight") or inside.get("conv_in.weight")
    width = next((shape[-1] for name, shape in inside.items() if name.endswith("attn2.to_k.weight")), None)
    if first is None or width is None or len(first) != 4:
        return None
    large = "label_emb.0.0.weight" in inside or "add_embedding.linear_1.weight" in inside
    return Content("sdxl" if large else "stable-diffusion", unet_edition(large, width, first[1]))


def _flow(inside: Shapes) -> Content | None:
    """SD3, FLUX.1 and FLUX.2: a transformer, in either layout."""
    if any(name.startswith("single_stream_modulation.") for name in inside):
        entry = inside.get("img_in.weight") or inside.get("x_embedder.weight")
        return Content("flux2", _flux2_edition(entry[0])) if entry else None
    if any(name.startswith(("double_blocks.0.img_attn.", "single_transformer_blocks.0.")) for name in inside):
        entry = inside.get("img_in.weight") or inside.get("x_embedder.weight")
        guided = any(name.startswith(("guidance_in.", "time_text_embed.guidance_embedder.")) for name in inside)
        return Content("flux", _flux_edition(entry[1], guided)) if entry else None
    patch = inside.get("x_embedder.proj.weight") or inside.get("pos_embed.proj.weight")
    joint = ("joint_blocks.0.", "transformer_blocks.0.attn.add_q_proj.")
    if patch and any(name.startswith(joint) for name in inside):
        places = inside.get("pos_embed") or inside.get("pos_embed.pos_embed") or (0, 0, 0)
        return Content("sd3", _sd3_edition(patch[0], places[1]))
    return None


def _edition_of(family: str, config: Mapping[str, Any], pipeline: str) -> str:
    """The edition of a denoiser by its configuration: the same word as for a single file of it."""
    try:
        if family in ("stable-diffusion", "sdxl"):
            width = config["cross_attention_dim"]
            width = width[0] if isinstance(width, list) else width
            return unet_edition(family == "sdxl", int(width), int(config["in_channels"]))
        heads = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
        if family == "sd3":
            return _sd3_edition(heads, int(config["pos_embed_max_size"]) ** 2)
        if family == "flux2":
            return _flux2_edition(heads)
        if "Kontext" in pipeline:
            return "flux-kontext"
        return _flux_edition(int(config["in_channels"]), bool(config.get("guidance_embeds")))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput(f"config.json of its denoiser lacks {error}: copy or fetch it again") from error


def unet_edition(large: bool, width: int, channels: int) -> str:
    """The edition of a UNet by the width of its text and its channels; one nobody knows goes by its numbers."""
    name = "sdxl" if large and width == 2048 else {768: "sd1", 1024: "sd2"}.get(0 if large else width)
    name = name or f"{'sdxl' if large else 'sd'}-{width}"
    return name + {4: "", 9: "-inpaint"}.get(channels, f"-{channels}-channels")


def _sd3_edition(hidden: int, places: int) -> str:
    known = {(1536, 36864): "sd3-medium", (1536, 147456): "sd3.5-medium"}
    return known.get((hidden, places), f"sd3-{hidden}-{places}")


def _flux_edition(channels: int, guided: bool) -> str:
    if not guided:
        return "flux-schnell" if channels == 64 else f"flux-{channels}-channels"
    return {64: "flux-dev", 384: "flux-fill"}.get(channels, f"flux-{channels}-channels-guided")


def _flux2_edition(hidden: int) -> str:
    return {3072: "flux2-klein", 6144: "flux2-dev"}.get(hidden, f"flux2-{hidden}")
