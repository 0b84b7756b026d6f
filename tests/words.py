"""What there is to translate: the page's English words, and the sentences of the core, read from the code."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.core import bases, headers, kinds, nets, presets, requests
from studio import pictures

ROOT = Path(__file__).parents[1]
# What speaks to somebody at the page; the command line and the reading of weights speak to others.
SPEAKING = ("pipelines/core", "pipelines/parts", "pipelines/generate", "pipelines/train", "pipelines/dataset", "studio")
SILENT = ("pipelines/core/safeload.py", "pipelines/core/noise.py")
PROBLEMS = (
    "BadInput",
    "Missing",
    "Problem",
    "DiskFull",
    "Quarantined",
    "QueueFull",
    "NoRoom",
    "Diverged",
    "OutOfMemory",
    "ValueError",
)
AT = {**dict.fromkeys(PROBLEMS, 0), "tick": 2, "Finding": 2, "Reason": 1, "State": 1, "_unusable": 2}
"""Where in a call the sentence stands."""


def flat(words: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, words) of nested tables."""
    for key, found in words.items():
        if isinstance(found, Mapping):
            yield from flat(found, f"{before}{key}.")
        else:
            yield f"{before}{key}", found


def templates() -> dict[str, str]:
    """Every sentence of the core that is written out in the code, `{name}` for what is filled in, with its file."""
    found: dict[str, str] = {}
    for folder in SPEAKING:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in SILENT:
                for template in _of_file(ast.parse(path.read_text(encoding="utf-8"))):
                    found.setdefault(template, name)
    return found


def _of_file(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = AT.get(name)
        if place is not None and len(node.args) > place:
            template = _template(node.args[place])
            if template and re.search(r"[a-z]{3,} |[a-z] \{", template):
                yield template


def _template(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}") if "{" in node.value else node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    parts, taken = [], set()
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            name = _name(part.value)
            while name in taken:
                name += "_"
            taken.add(name)
            parts.append(f"{{{name}}}")
    return "".join(parts)


def _name(node: ast.expr) -> str:
    """A short name for what is filled in: of `files.size(self.most)` it is most."""
    names = [
        one.attr if isinstance(one, ast.Attribute) else one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute | ast.Name)
    ]
    return names[0] if names else "x"


EXTRA = (
    "{where}: there is no such field",
    "{where} is missing",
    "{where} = {shown}: input should be less than or equal to {most}",
    "{where} = {shown}: input should be less than {most}",
    "{where} = {shown}: input should be greater than or equal to {least}",
    "{where} = {shown}: input should be greater than {least}",
    "{where} = {shown}: input should be a valid integer",
    "{where} = {shown}: input should be a valid integer, {more}",
    "{where} = {shown}: input should be a valid number",
    "{where} = {shown}: input should be a valid number, {more}",
    "{where} = {shown}: input should be a finite number",
    "{where} = {shown}: {what}",
    "{part} is empty: everything made from one source stays together, and {n} source cannot fill every part;"
    " add pictures made from others",
    "{part} is empty: everything made from one source stays together, and {n} sources cannot fill every part;"
    " add pictures made from others",
    "{part} has no {lacking}: too few sources show it",
    "starting",
    "nothing was kept in review: keep some pictures, or export with kept_only = false",
    "the pictures named are discarded, or not there: keep some of them, or name others",
    "every picture was discarded, or none is finished: generate some first",
    *(what for _, what in headers.OTHERS),
    "a HEIC or AVIF picture, or a film",
    "an SVG drawing or other XML",
    "a web page",
    "no picture the studio knows",
    "{name} needs {size}",
    "there is no room for {name}",
    "a number from {low} to {high}",
    "{name} is a pickle under another name, which could run code; use its real safetensors edition",
    "{name} is no safetensors file; choose a file saved as safetensors",
    "{name} is cut off inside its header ({size} bytes); fetch it again",
    "{name} is cut off: {size} of {whole} bytes are here; fetch it again",
    "{asked} px became {made}: this base makes multiples of {side_px} px",
    "a picture of {width} x {height} px",
    "ready, needs no weights",
    "ready",
    "configurations and tokenizers",
    "as its author says",
    "everything but the denoiser",
    "the CPU was asked for",
    "{title} ({memory}, compute capability {capability}) computes in {dtype}",
    "torch sees no GPU on this machine",
    "this torch was built without GPU support",
    "the GPU cannot be used: {why}",
    "this torch has no kernels for {title} (compute capability {capability})",
)
"""Sentences put together from pieces, which the code does not hold as one template."""


def helps() -> dict[str, dict[str, str]]:
    """What each field of a request means: under its task, or under the class that several tasks share."""
    found: dict[str, dict[str, str]] = {}
    for request in requests.TASKS.values():
        for name, info in request.model_fields.items():
            if info.description:
                found.setdefault(request.origin(name), {})[name] = info.description
    return found


def derived() -> dict[str, Any]:
    """The English words that live outside the locales, in areas as the other languages have them."""
    known = kinds.load()
    parameters = {name: one for kind in known.values() for name, one in kind.parameters.items()}
    return {
        "kinds": {
            kind.id: {
                "label": kind.label,
                "help": kind.help,
                "look": {name: one.help for name, one in kind.parameters.items()},
            }
            for kind in known.values()
        },
        "look": {
            **{name: name.capitalize() for name in parameters},
            "choices": {choice: choice for one in parameters.values() for choice in one.choices},
        },
        "presets": {
            product.id: {"label": product.label, **{one.id.partition("/")[2]: one.label for one in product.presets}}
            for product in presets.products().values()
        },
        "help": helps(),
        "tasks": {name: request.title for name, request in requests.TASKS.items()},
        "samples": {one.id: one.title for one in pictures.samples().values()},
        "bases": {base.name: {"label": base.label} for base in bases.shipped().values()},
        "nets": {net.name: net.label for net in nets.shipped().values()},
        "sentences": {template: template for template in (*templates(), *EXTRA)},
    }
