"""What each captioner needs to be used here: the folder of a network, or a server that the environment names.

Told without loading anything and without asking anybody. What they say of a picture is known to parts/captioners.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.core import weights
from pipelines.core.errors import BadInput, Missing, Problem

WEIGHTS = "model*.safetensors"
"""What transformers opens; some folders hold the same network for another program beside it."""
NETWORKS_SHELF, CLIP_SHELF = "captioners", "clip"
NETWORKS = {
    "blip2": "Salesforce/blip2-opt-2.7b",
    # The base edition is published as a pickle only.
    "blip": "Salesforce/blip-image-captioning-large",
    "llava": "llava-hf/llava-1.5-7b-hf",
}
"""Captioner -> the repository its folder comes from."""
CLIPS = {
    "clip-vit-large-patch14-336": "openai/clip-vit-large-patch14-336",
    "clip-vit-large-patch14": "openai/clip-vit-large-patch14",
    "CLIP-ViT-H-14-laion2B-s32B-b79K": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
}
"""Folder -> repository, in the order of preference; any other CLIP of transformers may lie there too."""
URL, KEY, MODEL = "FLAWSMITH_VISION_URL", "FLAWSMITH_VISION_KEY", "FLAWSMITH_VISION_MODEL"


@dataclass(frozen=True)
class Home:
    """Where a network lies: models folder/shelf/name, and its repository."""

    shelf: str
    name: str
    source: str

    @property
    def path(self) -> Path:
        return weights.folder() / self.shelf / self.name

    def missing(self) -> Missing | None:
        """The sentence for a network that is not here; None for one that is."""
        within = f"{weights.folder().name}/{self.shelf}"
        if not (self.path / "config.json").is_file():
            return Missing(
                f"{self.name} is not in {within}: put its folder there (it is {self.source} on Hugging Face)"
            )
        if not any(self.path.glob(WEIGHTS)):
            return Missing(
                f"{self.name} in {within} has no weights in safetensors, and a pickle could run code:"
                f" put a safetensors edition there (for example {self.source} on Hugging Face)"
            )
        return None


@dataclass(frozen=True)
class Server:
    """Where the endpoint asks, as whom, and which model."""

    url: str
    key: str = field(repr=False)
    model: str

    @property
    def name(self) -> str:
        """What sentences call it: its host and port."""
        found = urlsplit(self.url)
        return f"{found.hostname}:{found.port}" if found.port else str(found.hostname)


def network(name: str) -> Home:
    """Where one of NETWORKS lies."""
    return Home(NETWORKS_SHELF, name, NETWORKS[name])


def clip(name: str) -> Home:
    """Where a CLIP lies. Raises BadInput for a name that is no folder's."""
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise BadInput(
            f"no CLIP is called {name[:40]!r}: name a folder in {CLIP_SHELF}, for example {next(iter(CLIPS))}"
        )
    return Home(CLIP_SHELF, name, CLIPS.get(name, f"for example {next(iter(CLIPS.values()))}"))


def clips() -> list[str]:
    """The CLIPs that can be used now, the preferred first."""
    shelf = weights.folder() / CLIP_SHELF
    found = sorted(path.name for path in shelf.iterdir() if not path.name.startswith(".")) if shelf.is_dir() else []
    names = [name for name in CLIPS if name in found] + [name for name in found if name not in CLIPS]
    return [name for name in names if clip(name).missing() is None]


def no_clip() -> Missing | None:
    """The sentence where no CLIP is here; None where one is."""
    return None if clips() else clip(next(iter(CLIPS))).missing()


def server() -> Server:
    """As the environment says. Raises Missing where something is not set, BadInput for an address or key of no use."""
    url, key, model = (os.environ.get(name, "").strip() for name in (URL, KEY, MODEL))
    away = [name for name, value in ((URL, url), (KEY, key), (MODEL, model)) if not value]
    if away:
        raise Missing(
            f"the vision endpoint is off: set {', '.join(away)} where the studio is started (a server of your own that"
            " asks for no key takes any word); pictures are then sent to that server"
        )
    try:
        found = urlsplit(url)
        good = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        good = False
    if not good or "@" in found.netloc:
        raise BadInput(f"{URL} is no address of a server: it begins with http:// or https:// and holds no password")
    if not (key.isascii() and key.isprintable()):
        raise BadInput(f"{KEY} holds characters that no key has: copy it again")
    return Server(url.rstrip("/"), key, model)


def no_server() -> Problem | None:
    """The sentence where the endpoint is off or its address is none; None where it can be asked."""
    try:
        server()
    except Problem as problem:
        return problem
    return None


def lacks(name: str) -> Problem | None:
    """What is missing for a captioner, with where it comes from; None where it can be used now."""
    if name in NETWORKS:
        return network(name).missing()
    return {"keywords": no_clip, "endpoint": no_server}.get(name, lambda: None)()
