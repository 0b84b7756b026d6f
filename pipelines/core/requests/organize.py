"""The request that sorts a data set's pictures into folders by the nouns of their captions. Pydantic only."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipelines.core import files, ids
from pipelines.core.requests.check import Check

NAME_SIGNS = set('/\\:*?"<>|')
NAME_BYTES = 80
JOURNAL, PLAN, UNDONE = "journal.jsonl", "plan.json", "undone.json"
"""Files of a run that moved: each step, what the result will say, and what came of taking it back."""


def folder_name(words: str) -> str:
    """Words as the name of a folder that every system takes and whose captions read the same; "" where none is left.

    `_` stands for a space, as a folder's words are read; never at the front, where it hides a folder's words.
    """
    shown = "".join(" " if one in NAME_SIGNS or not one.isprintable() else one for one in words)
    name = "_".join(shown.replace("_", " ").split()).strip("._ ")
    name = name.encode()[:NAME_BYTES].decode(errors="ignore").strip("._ ")
    return f"{name}_" if files.DEVICE.fullmatch(name.split(".")[0]) else name


class Organize(Check):
    """Lay the pictures of one data set, which is named as `check` names it, into folders of the nouns they share."""

    title: ClassVar[str] = "Sort pictures by their captions"
    task: Literal["organize"] = "organize"  # type: ignore[assignment]
    mode: Literal["copy", "move"] = Field(
        "copy", description="copy = into this run's folder; move = inside the data set's own folder, with a way back"
    )
    dry_run: bool = Field(True, description="Only show the folders there would be; nothing is copied or moved")
    nouns: Literal["auto", "spacy", "words"] = Field(
        "auto",
        description="What finds the nouns: spacy = spaCy's English model, words = plain rules, auto = spaCy if it is"
        " there",
    )
    minimum_images: int = Field(10, ge=1, le=1_000_000, description="A folder has at least so many pictures")
    most_folders: int | None = Field(None, ge=1, le=10_000, description="At most so many folders; empty = no bound")
    leave_out: tuple[str, ...] = Field((), max_length=1000, description="Nouns that are to name no folder")
    other: str = Field("other", min_length=1, max_length=60, description="The folder for all other pictures")
    undo: str | None = Field(None, description="A run of this task by its id: what it moved goes back where it was")

    @model_validator(mode="after")
    def _names(self) -> Self:
        if folder_name(self.other) != self.other:
            raise ValueError(
                f"other = {self.other!r} is no name for a folder: letters, digits and _ between them, such as other"
            )
        if self.undo is not None and not ids.RUN.fullmatch(self.undo):
            raise ValueError(f"undo = {self.undo!r} is no run's id, such as 20260131-120000-0a1b2c")
        return self
