"""Sorts a data set's pictures into folders of the nouns their captions share; moves can be taken back.

Knows which picture goes where. How files are moved, and back, is parts/journal; what is a noun, parts/captioners/nouns.
"""

import heapq
import json
import os
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipelines.core import datasets, files, images, projects
from pipelines.core.errors import BadInput, DiskFull
from pipelines.core.models import Models
from pipelines.core.queue import Queue
from pipelines.core.records import USED
from pipelines.core.requests.organize import JOURNAL, PLAN, UNDONE, Organize, folder_name
from pipelines.core.runs import Run
from pipelines.parts import journal, loaders
from pipelines.parts.captioners import nouns
from pipelines.parts.journal import Step
from pipelines.parts.loaders import Example, Fault, captioned, paired, project, tree

MOVABLE = ("captioned", "paired")
"""Layouts where nothing but its place says what belongs to a picture."""
OUTPUT = "organized"
SHOWN, SHOWN_WORDS = 5, 40
RESERVE_BYTES = 64 * 2**20
RESERVED = tree.GOOD | set(tree.PARTS)
"""Folders of these names say something else than what is in them."""

Tick = Callable[[int, int], None]


TOP = PurePosixPath()


@dataclass
class Picture:
    """One picture of the data set, and where it goes."""

    image: Path
    examples: list[Example]
    caption: str
    place: PurePosixPath
    """Its folder in the data set."""
    stem: str
    """What it is called, without its ending."""
    noun: str = ""
    to: PurePosixPath = TOP
    mask_to: PurePosixPath | None = None
    stays: bool = False
    captions: list[tuple[Path, str]] = field(default_factory=list)
    """Caption files that are its own, and their endings."""

    @property
    def mask(self) -> Path | None:
        return next((example.mask for example in self.examples if example.mask is not None), None)


@dataclass
class Found:
    """What a data set holds, as far as it can be sorted."""

    name: str
    layout: str
    root: Path | None
    """None: a project, which has no folder."""
    pictures: list[Picture]
    notes: list[str]


def run(request: Organize, run: Run, models: Models) -> None:
    """The result: the folders with how many pictures each holds, and the words that gave none."""
    for index in run.items(request.length()):

        def tick(done: int, total: int) -> None:
            run.tick(done, total, f"file {done} of {total}")

        run.commit(index, _organized(request, run, tick) if request.undo is None else _undone(request, run, tick))
    run.finish(run.rows()[0])


def assigned(found: Sequence[Sequence[str]], request: Organize) -> list[str]:
    """For each picture, by its nouns, the noun whose folder it goes into; "" where there is none.

    Again and again the noun that most pictures share which have no folder yet, while they are enough. A noun that all
    captions hold tells no two pictures apart: it counts only where no other would make a folder.
    """
    lower = [word.strip().lower() for word in request.leave_out]
    banned = {*lower, *map(nouns.singular, lower)}
    having: dict[str, set[int]] = defaultdict(set)
    for number, words in enumerate(found):
        for word in words:
            if word not in banned and not _says_else(word, request.other):
                having[word].add(number)
    enough = {word: of for word, of in having.items() if len(of) >= request.minimum_images}
    worded = sum(bool(words) for words in found)
    telling = {word: of for word, of in enough.items() if len(of) < worded}
    left = telling or enough
    chosen = [""] * len(found)
    queue = [(-len(of), word) for word, of in left.items()]
    heapq.heapify(queue)
    folders = 0
    while queue and (request.most_folders is None or folders < request.most_folders):
        size, word = heapq.heappop(queue)
        now = {number for number in left[word] if not chosen[number]}
        if len(now) < request.minimum_images:
            continue
        if len(now) < -size:
            heapq.heappush(queue, (-len(now), word))
            continue
        for number in now:
            chosen[number] = word
        folders += 1
    return chosen


def _says_else(word: str, other: str) -> bool:
    name = folder_name(word)
    return not name or name.casefold() in RESERVED or name.casefold() == other.casefold()


def _organized(request: Organize, run: Run, tick: Tick) -> dict[str, Any]:
    path = run.folder / JOURNAL
    if path.exists():  # taken up again in the middle of the moves
        if (run.folder / UNDONE).exists():
            raise BadInput("what this run moved was taken back meanwhile: ask for a new one", "undo")
        told: dict[str, Any] = json.loads((run.folder / PLAN).read_text(encoding="utf-8"))
        journal.replay(datasets.folder(request.data, run.assets.runs), journal.read(path), tick)
        return told
    found = _found(request, run)
    source = request.nouns if request.nouns != "auto" else "words" if nouns.spacy_lacks() else "spacy"
    words = nouns.NOUNS[source]([picture.caption for picture in found.pictures])
    for picture, noun in zip(found.pictures, assigned(words, request), strict=True):
        picture.noun = noun
    if request.mode == "copy":
        _lay_copies(found.pictures, request.other)
    else:
        _lay_moves(found, request.other)
    told = _told(request, found, words, source)
    if request.dry_run:
        return told
    if request.mode == "copy":
        return told | _copied(found, run, tick)
    assert found.root is not None
    steps = _steps(found.root, found.pictures, tick)
    files.write_json(run.folder / PLAN, told)
    journal.begin(path, steps)
    journal.replay(found.root, steps, tick)
    run.log(moved=told["moved"])
    return told


def _found(request: Organize, run: Run) -> Found:
    """Every picture with its caption: the layout's, else that of a file beside it, else what its defect is called.

    Where the layout is nothing but folders, their names are the caption of what has none. Raises BadInput, Missing.
    """
    notes: list[str] = []

    def report(fault: Fault) -> None:
        notes.append(fault.sentence)

    root, captions, called = None, {}, dict[Path, str]()
    if projects.ID.fullmatch(request.data):
        store = projects.Projects(run.assets.runs)
        name, layout = store.get(request.data).name, "project"
        for record in store.records(request.data).page(USED):  # a file of a project is called original.png
            called[run.assets.get(record.asset).path] = folder_name(PurePosixPath(record.name).stem)
        examples = project.load(request.data, run.assets)
    else:
        root = datasets.folder(request.data, run.assets.runs).resolve()
        name, layout = root.name, loaders.detect(root) if request.layout == "auto" else request.layout
        examples = loaders.load(root, layout, report)
        if layout not in ("run", "captioned"):
            captions = {
                one.image: one.caption for one in captioned.load(root, lambda fault: None) if _own_words(one, root)
            }
    if request.mode == "move" and layout not in MOVABLE:
        raise BadInput(f"a data set of the layout {layout} would break if its pictures moved: set mode = copy", "mode")
    grouped: dict[Path, list[Example]] = {}
    for example in examples:
        grouped.setdefault(example.image, []).append(example)
    pictures = []
    for image, same in sorted(grouped.items()):
        if root is not None and not all(_plain(path, root) for path in (image, same[0].mask) if path is not None):
            notes.append(f"{tree.named(image, root)} is a link, or its mask is: it is left where it is")
            continue
        said = [*(one.caption for one in same), captions.get(image, ""), *(nouns.called(one.defect) for one in same)]
        caption = journal.shown(next((one for one in said if any(sign.isalpha() for sign in one)), ""))
        if root is not None:
            place = PurePosixPath(image.parent.relative_to(root).as_posix())
        else:  # what has no class in a project is good
            place = PurePosixPath("" if any(one.classes for one in same) else "good")
        pictures.append(Picture(image, same, caption, place, called.get(image) or image.stem))
    if not pictures:
        raise BadInput(f"{name} holds no picture that could be sorted: choose another data set", "data")
    return Found(name, layout, root, pictures, notes)


def _own_words(example: Example, root: Path) -> bool:
    """Whether a caption is more than the names of the folders."""
    return example.caption != captioned.folder_prompt(example.image.parent.relative_to(root))


def _plain(path: Path, root: Path) -> bool:
    """Whether no link leads to it: such a file lies somewhere else."""
    return path.resolve() == root / path.relative_to(root)


class _Shelf:
    """A tree of folders that fills up: which names are taken, whatever their case."""

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._taken: dict[PurePosixPath, set[str]] = {}
        self._folders: dict[tuple[PurePosixPath, str], str] = {}

    def folder(self, base: PurePosixPath, name: str) -> PurePosixPath:
        """A folder for `name` in `base`: one that is there in whatever case, else a new one; never a link or a file."""
        key = base, name
        if key not in self._folders:
            new = [chosen for (of, _), chosen in self._folders.items() if of == base]
            for tried in _numbered(name):
                alike = [one for one in (*self._there(base), *new) if _alike(one) == _alike(tried)]
                best = tried if tried in alike or not alike else alike[0]
                if not alike or best in new or self._is_folder(base / best):
                    self._folders[key] = best
                    break
        return base / self._folders[key]

    def stem(self, folders: Sequence[PurePosixPath], stem: str, endings: Iterable[str]) -> str:
        """A stem that no file in any of the folders has, with any of the endings; taken from now on."""
        for tried in _numbered(stem, most=200 - max(len(one.encode(errors="replace")) for one in endings)):
            names = {_alike(tried + mark) for mark in ("", *tree.MASK_ENDINGS)}
            if not any(names & self._names(folder) for folder in folders):
                for folder in folders:
                    self._names(folder).update(names)
                return tried
        raise AssertionError("numbers do not end")

    def _names(self, folder: PurePosixPath) -> set[str]:
        if folder not in self._taken:
            self._taken[folder] = {_alike(PurePosixPath(one).stem) for one in self._there(folder)}
        return self._taken[folder]

    def _there(self, folder: PurePosixPath) -> list[str]:
        place = self.root / folder if self.root is not None else None
        return sorted(path.name for path in place.iterdir()) if place is not None and place.is_dir() else []

    def _is_folder(self, place: PurePosixPath) -> bool:
        assert self.root is not None
        return (self.root / place).is_dir() and not (self.root / place).is_symlink()


def _numbered(name: str, most: int = 200) -> Iterator[str]:
    """a, a_2, a_3 ..., none of more than `most` bytes."""
    yield name
    for number in count(2):
        mark = f"_{number}"
        yield os.fsencode(name)[: most - len(mark)].decode(errors="ignore") + mark


def _alike(name: str) -> str:
    """Equal for names that some disk cannot tell: by case, or by how an accent is written."""
    return unicodedata.normalize("NFC", name).casefold()


def _goal(picture: Picture, other: str) -> str:
    """What its folder is called; a good picture that no noun calls for stays among the good ones."""
    good = picture.place.name if picture.place.name.lower() in tree.GOOD else ""
    return folder_name(picture.noun) or good or other


def _lay_copies(pictures: Sequence[Picture], other: str) -> None:
    """<noun>/x.png, with masks images/<noun>/x.png and masks/<noun>/x.png; in train, val or test as before."""
    shelf, marked = _Shelf(None), any(_marked(picture) for picture in pictures)
    for picture in pictures:
        part = picture.examples[0].part
        folder = shelf.folder(PurePosixPath(part, "images" if marked else ""), _goal(picture, other))
        picture.captions = [(path, ".cap") for path in [picture.image.with_suffix(".cap")] if _own(path)]
        stem = shelf.stem([folder], picture.stem, [picture.image.suffix])
        picture.to = folder / f"{stem}{picture.image.suffix}"
        if _marked(picture):
            picture.mask_to = PurePosixPath(part, "masks", folder.name, f"{stem}.png")


def _marked(picture: Picture) -> bool:
    return any(example.mask is not None or example.boxes for example in picture.examples)


def _own(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _lay_moves(found: Found, other: str) -> None:
    """Each to the folder of its noun, below the folder that says train, val or test, with its mask on its own side."""
    shelf, claimed = _Shelf(found.root), set[Path]()
    for picture in found.pictures:
        pictures, place, masks = _sides(picture, found.root)
        head = max((at + 1 for at, name in enumerate(place.parts) if name.lower() in tree.PARTS), default=0)
        base = pictures / PurePosixPath(*place.parts[:head])
        picture.to = shelf.folder(base, _goal(picture, other))
        picture.stays = picture.to == picture.place
        if masks is not None and not picture.stays:
            picture.mask_to = masks / picture.to.relative_to(pictures)
    for picture in sorted(found.pictures, key=lambda one: not one.stays):  # who stays keeps what lies beside
        for end in captioned.ENDINGS:
            path = picture.image.with_suffix(end)
            if _own(path) and path not in claimed:
                claimed.add(path)
                picture.captions.append((path, end))
        if picture.stays:
            picture.to /= picture.image.name
            continue
        tail = _tail(picture)
        folders = list(dict.fromkeys(one for one in (picture.to, picture.mask_to) if one is not None))
        stem = shelf.stem(folders, picture.image.stem, [picture.image.suffix, tail, ".cap"])
        picture.to /= f"{stem}{picture.image.suffix}"
        if picture.mask_to is not None:
            picture.mask_to /= f"{stem}{tail}"


def _sides(picture: Picture, root: Path | None) -> tuple[PurePosixPath, PurePosixPath, PurePosixPath | None]:
    """images/a/x.png with masks/a/x.png -> images, a, masks: where pictures lie, the place therein, where masks lie."""
    mask = picture.mask
    if mask is None or root is None:
        parts = picture.place.parts
        side = next((at + 1 for at, name in enumerate(parts) if name.lower() in paired.PICTURES), 0)
        return PurePosixPath(*parts[:side]), PurePosixPath(*parts[side:]), None
    ours, theirs = list(picture.place.parts), list(mask.parent.relative_to(root).parts)
    if ours == theirs:
        return PurePosixPath(), PurePosixPath(*ours), PurePosixPath()
    place: list[str] = []
    while ours and theirs and ours[-1] == theirs[-1]:
        place.insert(0, ours.pop())
        theirs.pop()
    return PurePosixPath(*ours), PurePosixPath(*place), PurePosixPath(*theirs)


def _tail(picture: Picture) -> str:
    """What follows the picture's stem in its mask's name: `.png`, `_mask.png`."""
    mask = picture.mask
    if mask is None:
        return ""
    return mask.name[len(picture.image.stem) :] if mask.stem.startswith(picture.image.stem) else mask.suffix


def _steps(root: Path, pictures: Sequence[Picture], tick: Tick) -> list[Step]:
    """What a journal holds: folders first, then each picture with what belongs to it, then the folders left empty."""
    moves, writes = _moves(root, pictures), list[Step]()
    for picture in pictures:
        end_of = {end for _, end in picture.captions}
        to = picture.to.with_suffix(".cap")
        if picture.caption and ".cap" not in end_of and not os.path.lexists(root / to):
            writes.append(journal.written(to.as_posix(), picture.caption + "\n"))
    hashed = []
    for number, (here, to) in enumerate(moves):
        tick(number, len(moves))
        hashed.append(Step("move", to.as_posix(), here.as_posix(), sha256=files.sha256(root / here)))
    folders = {PurePosixPath(one.to).parent for one in (*hashed, *writes)}
    made = {folder for one in folders for folder in (one, *one.parents) if not (root / folder).exists()}
    return [
        *(Step("folder", folder.as_posix()) for folder in sorted(made, key=lambda one: len(one.parts))),
        *hashed,
        *writes,
        *(Step("clear", here=folder.as_posix()) for folder in _emptied(root, dict(moves), folders)),
    ]


def _moves(root: Path, pictures: Sequence[Picture]) -> list[tuple[PurePosixPath, PurePosixPath]]:
    found = []
    for picture in pictures:
        if picture.stays:
            continue
        found.append((picture.image, picture.to))
        if picture.mask is not None and picture.mask_to is not None:
            found.append((picture.mask, picture.mask_to))
        found += [(path, picture.to.with_suffix(end)) for path, end in picture.captions]
    return [(PurePosixPath(path.relative_to(root).as_posix()), to) for path, to in found]


def _emptied(
    root: Path, moves: Mapping[PurePosixPath, PurePosixPath], filled: set[PurePosixPath]
) -> list[PurePosixPath]:
    """The folders that hold nothing but what is moved away, the innermost first."""
    found: list[PurePosixPath] = []
    gone, stay = set(moves), {up for one in filled for up in (one, *one.parents)}
    for folder in sorted({up for one in moves for up in one.parents} - stay, key=lambda one: -len(one.parts)):
        if folder.parts and all(folder / path.name in gone for path in (root / folder).iterdir()):
            found.append(folder)
            gone.add(folder)
    return found


def _copied(found: Found, run: Run, tick: Tick) -> dict[str, Any]:
    """Copies, byte by byte, in the run's folder; masks as 0 and 255. Begun anew where it was interrupted."""
    target = run.folder / OUTPUT
    shutil.rmtree(target, ignore_errors=True)
    needed = sum(picture.image.stat().st_size for picture in found.pictures)
    free = shutil.disk_usage(run.folder).free
    if needed + RESERVE_BYTES > free:
        raise DiskFull(
            f"the copies need about {files.size(needed)}, and {files.size(free)} is free: make room, then it goes on"
        )
    if any(picture.mask_to for picture in found.pictures):
        for part in {picture.examples[0].part for picture in found.pictures}:
            (target / part / "masks").mkdir(parents=True)  # by an empty one a part of good pictures is told
    for number, picture in enumerate(found.pictures):
        tick(number, len(found.pictures))
        to = target / picture.to
        to.parent.mkdir(parents=True, exist_ok=True)
        _copy(picture.image, to)
        if picture.captions:
            _copy(picture.captions[0][0], to.with_suffix(".cap"))
        elif picture.caption:
            files.write_bytes(to.with_suffix(".cap"), (picture.caption + "\n").encode())
        if picture.mask_to is not None:
            place = target / picture.mask_to
            place.parent.mkdir(parents=True, exist_ok=True)
            shape = images.read(picture.image).pixels.shape[:2]
            marked = [loaders.mask_of(example, shape) for example in picture.examples]
            images.write_png(place, np.logical_or.reduce(marked))
    opened = datasets.put(run.assets.runs, target, f"{found.name} {run.id[:15]}")  # the day and time tell copies apart
    return {"output": OUTPUT, "data": opened.id}


def _copy(here: Path, to: Path) -> None:
    with files.replacing(to, here.stat().st_size) as file, here.open("rb") as source:
        shutil.copyfileobj(source, file)


def _told(request: Organize, found: Found, words: Sequence[Sequence[str]], source: str) -> dict[str, Any]:
    folders: dict[str, dict[str, Any]] = {}
    for picture in sorted(found.pictures, key=lambda one: (not one.noun, one.to)):
        one = folders.setdefault(
            journal.shown(picture.to.parent.as_posix()), {"images": 0, "noun": picture.noun, "examples": []}
        )
        one["images"] += 1
        if len(one["examples"]) < SHOWN:
            one["examples"].append(journal.shown(picture.to.name))
    used = {picture.noun for picture in found.pictures}
    rest = Counter(word for of in words for word in of if word not in used)
    return {
        "mode": request.mode,
        "dry_run": request.dry_run,
        "layout": found.layout,
        "nouns": source,
        "images": len(found.pictures),
        "moved": sum(not picture.stays for picture in found.pictures),
        "renamed": sum(picture.to.name != f"{picture.stem}{picture.image.suffix}" for picture in found.pictures),
        "without_noun": sum(not of for of in words),
        "tree": folders,
        "unassigned": dict(sorted(rest.items(), key=lambda one: (-one[1], one[0]))[:SHOWN_WORDS]),
        "notes": found.notes[:SHOWN_WORDS],
    }


def _undone(request: Organize, run: Run, tick: Tick) -> dict[str, Any]:
    """Takes back what another run moved. Raises BadInput, Missing."""
    assert request.undo is not None
    with closing(Queue(run.assets.runs)) as queue:
        row = queue.get(request.undo)
    if row.task != request.task or row.request["mode"] != "move" or row.request["dry_run"] or row.request["undo"]:
        raise BadInput(f"run {row.id} moved nothing: name one with mode = move and dry_run = false", "undo")
    if not row.over:
        raise BadInput(f"run {row.id} is not over ({row.state}): stop it first, or let it end", "undo")
    root = datasets.folder(request.data, run.assets.runs).resolve()
    if datasets.folder(row.request["data"], run.assets.runs).resolve() != root:
        raise BadInput(f"run {row.id} sorted another data set: name that one as data", "undo")
    folder = run.assets.runs / row.id
    mark, steps = folder / UNDONE, journal.read(folder / JOURNAL)
    before = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else {}
    if "result" in before:
        if before["run"] != run.id:
            raise BadInput(f"run {row.id} was undone already, by run {before['run']}", "undo")
        return dict(before["result"])
    told = {"undone": row.id, "dry_run": request.dry_run}
    if request.dry_run:
        return {**told, "files": journal.done(root, steps)}
    files.write_json(mark, {"run": run.id})
    result = told | asdict(journal.undo(root, steps, tick))
    files.write_json(mark, {"run": run.id, "result": result})
    run.log(**result)
    return result
