"""Writes captions for a data set. Knows the order of the work; who says what of a picture is parts/captioners.

Nothing of the data set is changed: captions lie in the run's folder as files beside no picture, `captions/<place>.txt`,
and go into a project in one step that can be undone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import datasets, files, images, projects
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests.caption import Caption
from pipelines.core.runs import Run
from pipelines.parts import captioners, loaders
from pipelines.parts.captioners import How, Seen, keywords, mixing, ranking
from pipelines.parts.loaders import Example, project

LISTED = "pictures.json"
FOLDER = "captions"
TOLD = 8
"""Candidates of a picture whose scores are told."""


@dataclass(frozen=True)
class Item:
    """A picture to describe."""

    id: str
    """Its asset where it is a project's, else its place in the folder."""
    name: str
    examples: tuple[Example, ...]

    @property
    def said(self) -> str:
        return self.examples[0].caption

    @property
    def defect(self) -> str:
        return " and ".join(dict.fromkeys(name for one in self.examples for name in one.classes))


def run(request: Caption, run: Run, models: Models) -> None:
    """A row for each picture: what each captioner said, candidates and scores, the caption. Raises Problem."""
    for name in request.captioners:
        if (lack := captioners.lacks(name)) is not None:
            raise lack
    clips = _clips(request)
    items = _listed(_items(request, run.assets), run)
    words = tuple(keywords.candidates([one.said for one in items], request.keywords))
    how = How(request.prompt, words, request.max_new_tokens, request.batch_size)
    for batch in run.batches(len(items), request.batch_size):
        some = [items[index] for index in batch]
        for index, row in zip(batch, _described(request, some, how, clips, models), strict=True):
            _write(run.folder, items[index], row["caption"])
            run.commit(index, row)
        run.tick(batch[-1] + 1, len(items), f"picture {batch[-1] + 1} of {len(items)}")
    rows = run.rows()
    run.finish({"images": len(rows), "captioners": request.captioners, "clips": clips, **_taken(request, run, rows)})


def _clips(request: Caption) -> tuple[str, ...]:
    """The CLIPs that rank; none where nothing is ranked. Raises Missing, BadInput."""
    if not request.best_of:
        return ()
    names = request.clips or tuple(ranking.here()[:1]) or (next(iter(ranking.CLIPS)),)
    for name in names:
        if (lack := ranking.home(name).missing()) is not None:
            raise lack
    return names


def _items(request: Caption, assets: Assets) -> list[Item]:
    if projects.ID.fullmatch(request.data):
        root, found = None, project.load(request.data, assets)
    else:
        root = datasets.folder(request.data, assets.runs)
        found = loaders.load(root, request.layout, lambda fault: None)
    together: dict[Path, list[Example]] = {}
    for example in found:
        together.setdefault(example.image, []).append(example)
    items = [Item(_id(path, root), path.name, tuple(some)) for path, some in together.items()]
    wanted = set(request.only)
    chosen = [one for one in items if one.id in wanted] if wanted else items
    if not chosen:
        raise BadInput(
            f"none of the {len(items)} pictures is among those that only names: leave it empty for all", "only"
        )
    return chosen


def _id(path: Path, root: Path | None) -> str:
    """An asset's folder is named after it."""
    return path.parent.name if root is None else path.relative_to(root).as_posix()


def _listed(items: Sequence[Item], run: Run) -> list[Item]:
    """In the order of the first attempt, though pictures came or went since."""
    path = run.folder / LISTED
    if not path.exists():
        files.write_json(path, [one.id for one in items])
    by_id = {one.id: one for one in items}
    order = json.loads(path.read_text(encoding="utf-8"))
    if gone := [id for id in order if id not in by_id]:
        raise BadInput(f"{gone[0]} and {len(gone) - 1} more are gone since the run began: start it anew")
    return [by_id[id] for id in order]


def _described(
    request: Caption, items: Sequence[Item], how: How, clips: Sequence[str], models: Models
) -> list[dict[str, Any]]:
    seen = [_seen(one, request.product) for one in items]
    answers = {name: captioners.CAPTIONERS[name](seen, how, models) for name in request.captioners}
    return [
        _row(request, item, look, {name: said[place] for name, said in answers.items()}, clips, models)
        for place, (item, look) in enumerate(zip(items, seen, strict=True))
    ]


def _row(
    request: Caption, item: Item, seen: Seen, said: Mapping[str, str], clips: Sequence[str], models: Models
) -> dict[str, Any]:
    """The caption is the first that somebody had, or the one that fits best."""
    template = request.templates.get(item.defect, request.template)
    words = [one for one in said.get("keywords", "").split(", ") if one] or request.keywords

    def mixed(caption: str) -> str:
        return mixing.mixed(
            template,
            caption=caption,
            token=request.token,
            defect=seen.defect,
            product=seen.product,
            folder=captioners.folder_words(seen.folder),
            keywords=words,
        )

    whole = [text for name, text in said.items() if name != "keywords" and text] or [""]
    options = list(dict.fromkeys(mixed(text) for text in whole))
    scores: list[tuple[str, float]] = []
    if clips and any(options):
        scores = ranking.best(seen.picture, options, seen.defect, seen.product, clips, models)
    return {
        "image": item.id,
        "name": item.name,
        "said": dict(said),
        "scores": [[text, round(score, 4)] for text, score in scores[:TOLD]],
        "caption": scores[0][0] if scores else options[0],
    }


def _seen(item: Item, product: str) -> Seen:
    pixels = images.read(item.examples[0].image, name=item.name).pixels
    picture = np.rint(images.to_float(pixels) * 255).astype(np.uint8)
    picture = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    mask = np.zeros(picture.shape[:2], bool)
    for example in item.examples:
        mask |= loaders.mask_of(example, mask.shape)
    folder = Path(item.id).parent.as_posix()
    return Seen(picture, mask if mask.any() else None, item.defect, product, "" if folder == "." else folder, item.said)


def _write(folder: Path, item: Item, caption: str) -> None:
    path = files.inside(folder / FOLDER, f"{item.id.rpartition('.')[0] or item.id}.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, f"{caption}\n".encode())


def _taken(request: Caption, run: Run, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many captions went into the project."""
    if request.write == "review" or not projects.ID.fullmatch(request.data):
        return {"written": 0}
    known = projects.Projects(run.assets.runs).records(request.data)
    empty = {one.asset for one in known.page() if not one.caption}
    wanted = {row["image"]: row["caption"] for row in rows if request.write == "all" or row["image"] in empty}
    return {"written": known.change({id: {"caption": said} for id, said in wanted.items() if said}, "caption").count}
