"""A request's fields as the page's controls need them. Bounds, default and help are the field's own; a tab adds limits.

Knows pydantic and the words; no Gradio, no task. What draws the controls is widgets/which.js.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from pipelines.core.requests import Request
from studio.i18n import Language

WIDEST_SLIDER = 10_000
PROPER = {
    "unipc": "UniPC",
    "dpm++2m": "DPM++ 2M",
    "dpm++2m-karras": "DPM++ 2M Karras",
    "dpm++2m-sde": "DPM++ 2M SDE",
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "euler": "Euler",
    "euler-a": "Euler a",
    "heun": "Heun",
    "deis": "DEIS",
    "pndm": "PNDM",
    "lcm": "LCM",
    "tcd": "TCD",
    "flow-euler": "Flow Euler",
    "lora": "LoRA",
    "dora": "DoRA",
    "loha": "LoHa",
    "lokr": "LoKr",
    "adamw": "AdamW",
    "adamw8bit": "AdamW, 8 bit",
    "prodigy": "Prodigy",
    "adafactor": "Adafactor",
    "mixup": "MixUp",
    "cutmix": "CutMix",
    "bf16": "bf16",
    "fp16": "fp16",
    "mvtec": "MVTec AD",
    "defectfill": "DefectFill",
    "visa": "VisA",
    "magnetic_tile": "Magnetic Tile",
    "deeppcb": "DeepPCB",
    "elpv": "ELPV",
    "labelme": "LabelMe",
    "cvat": "CVAT",
    "sagemaker": "SageMaker Ground Truth",
    "matlab": "MATLAB",
    "imagefolder": "Hugging Face imagefolder",
    "webdataset": "webdataset",
    "packed": "Flawsmith",
    "voc": "Pascal VOC",
    "yolo": "YOLO",
    "coco": "COCO",
}
"""Names that are the same in every language."""


@dataclass(frozen=True)
class Limits:
    """`low` and `high` narrow a control to what is sensible on a page; the request's own bounds still hold."""

    low: float | None = None
    high: float | None = None
    slider: bool = True


def controls(say: Language, request: type[Request], limits: Mapping[str, Limits]) -> dict[str, dict[str, Any]]:
    """What the page needs to draw each field named in `limits`, by name and in that order.

    kind: `slide` (slider and number), `number`, `choice`, `switch` or `text`; whole: no fractions; `auto`, where the
    field may be empty, is what emptiness means. Words are in locales/*/fields.toml: label, auto, and one a choice.
    """
    return {name: _control(say, request, name, limits[name]) for name in limits}


def _control(say: Language, request: type[Request], name: str, limits: Limits) -> dict[str, Any]:
    info = request.model_fields[name]
    optional = get_origin(info.annotation) is not Literal and NoneType in get_args(info.annotation)
    kind = next(one for one in get_args(info.annotation) if one is not NoneType) if optional else info.annotation
    help = say.data(f"help.{request.origin(name)}.{name}", info.description or "")
    common = {"label": say(f"fields.{name}.label"), "help": help, "start": info.default}
    if optional:
        common["auto"] = say(f"fields.{name}.auto")
    if get_origin(kind) is Literal:
        choices = [[one, PROPER.get(one) or say(f"fields.{name}.{one}")] for one in get_args(kind)]
        return {**common, "kind": "choice", "choices": choices}
    if kind is bool:
        return {**common, "kind": "switch"}
    low, high = bounds(info)
    low = low if limits.low is None else limits.low
    high = high if limits.high is None else limits.high
    if kind not in (int, float) or low is None or high is None:
        return {**common, "kind": "text"}
    whole = kind is int or high - low > 100
    slider = limits.slider and high - low <= WIDEST_SLIDER
    step = {"low": low, "high": high, "step": 1 if whole else 0.05, "whole": kind is int}
    return {**common, "kind": "slide" if slider else "number", **step}


def bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """The least and the largest value a field allows; a strict upper bound is taken one unit lower."""
    least = next((mark.ge for mark in info.metadata if hasattr(mark, "ge")), None)
    most = next((mark.le for mark in info.metadata if hasattr(mark, "le")), None)
    below = next((mark.lt for mark in info.metadata if hasattr(mark, "lt")), None)
    return least, below - 1 if most is None and below is not None else most
