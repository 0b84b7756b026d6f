"""Pictures with captions: the names of their folders, or a .cap or .txt beside the picture. Knows no defects."""

from collections.abc import Iterator
from pathlib import Path, PurePath

from pipelines.core.errors import BadInput
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Example, Fault
from pipelines.parts.loaders.tree import Report

ENDINGS = (".cap", ".txt")
MOST_CHARACTERS = 4_000


def fits(root: Path) -> bool:
    return any(folder_prompt(path.relative_to(root).parent) is not None for path in tree.pictures(root, below=True))


def load(root: Path, report: Report) -> Iterator[Example]:
    """What a file beside the picture says wins over its folders."""
    for image in tree.pictures(root, below=True):
        relative = image.relative_to(root)
        prompt = folder_prompt(relative.parent)
        if prompt is None:
            continue
        beside = next((path for end in ENDINGS if (path := image.with_suffix(end)).is_file()), None)
        caption = prompt if beside is None else _read(beside, image, root, prompt, report)
        yield Example(image, caption=caption, part=tree.part(relative), group=tree.group(image, root))


def folder_prompt(folder: PurePath) -> str | None:
    """a_b/_c/d -> "a b, d": `_c` is no level. None below a folder that begins with two underscores: skipped."""
    names = [name for name in folder.parts if name not in ("", ".")]
    if any(name.startswith("__") for name in names):
        return None
    words = (" ".join(name.replace("_", " ").split()) for name in names if not name.startswith("_"))
    return ", ".join(word for word in words if word)


def first_line(text: str) -> str:
    """The first line that is neither empty nor a remark (`#`), without the spaces around it; "" where there is none."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")


def _read(path: Path, image: Path, root: Path, prompt: str, report: Report) -> str:
    """The caption in a file, else the folder's, with a report of why."""
    name = tree.named(path, root)
    try:
        caption = first_line(tree.text(path))
    except (BadInput, OSError) as error:
        meant = _decoded(path)
        mend = f"read it as {meant!r} (mend)" if meant else f"take the folder's {prompt!r} (mend)"
        report(
            Fault(
                "caption_not_utf8",
                (path, image),
                f"{name}: {error}; or {mend}, or leave the picture out",
                ("mend", "leave_out"),
                instead=meant,
            )
        )
        return prompt
    if len(caption) > MOST_CHARACTERS:
        what = f"its caption has {len(caption)} characters, at most {MOST_CHARACTERS} are read"
        report(tree.broken_annotation(path, root, what, (image,)))
        return prompt
    if not caption:
        fallback = f"take the folder's {prompt!r} (mend), or " if prompt else ""
        report(
            Fault(
                "empty_caption",
                (path, image),
                f"{name} holds no caption: write one line, {fallback}leave the picture out",
                ("mend", "leave_out") if prompt else ("leave_out",),
            )
        )
        return prompt
    return caption


def _decoded(path: Path) -> str:
    """What a caption that is not UTF-8 seems to say: UTF-16 by its mark, else Windows' western code page."""
    if path.stat().st_size > tree.TEXT_BYTES:
        return ""
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252")
    except UnicodeDecodeError:
        return ""
    line = first_line(text)
    return line if line.isprintable() and len(line) <= MOST_CHARACTERS else ""
