"""Which words fit a picture best, by CLIP (arXiv 2103.00020): cosines of its features, the mean over several CLIPs.

In float32: candidates often differ in the third decimal, which bfloat16 does not have.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.core.adapter_names import tags
from pipelines.core.captioners import CLIPS
from pipelines.core.captioners import clip as home
from pipelines.core.captioners import clips as here
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts.captioners import mixing
from pipelines.parts.captioners.opening import Opened, opened

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CLIPS", "best", "cut", "here", "home", "ranked", "similarities"]

DTYPE = "float32"
AT_ONCE = 32


def ranked(
    picture: np.ndarray, candidates: Sequence[str], names: Sequence[str], models: Models
) -> list[tuple[str, float]]:
    """Each candidate once with its score in [-1, 1], the best first; equal ones in their own order.

    `picture` is uint8 HxWx3, `names` are CLIPs. Raises BadInput without candidates or CLIPs, Missing, BadInput as
    opening them does.
    """
    different = list(dict.fromkeys(candidates))
    scores = similarities([picture], different, names, models)[0].tolist()
    return sorted(zip(different, scores, strict=True), key=lambda pair: -pair[1])


def best(
    picture: np.ndarray, prompts: Sequence[str], defect: str, product: str, names: Sequence[str], models: Models
) -> list[tuple[str, float]]:
    """The prompts with all their variants, ranked: the first is the best of them. Raises as `ranked` does."""
    return ranked(
        picture, [one for prompt in prompts for one in mixing.variants(prompt, defect, product)], names, models
    )


def similarities(
    pictures: Sequence[np.ndarray], texts: Sequence[str], names: Sequence[str], models: Models
) -> np.ndarray:
    """Cosines float32 [pictures, texts], the mean over the CLIPs. Raises as `ranked` does.

    A text is read as far as a CLIP reads (77 tokens with its two marks; `cut` tells which are longer), and without the
    tags of adapters in it.
    """
    if not texts:
        raise BadInput("nothing to choose among: give CLIP one candidate at least")
    if not names:
        raise BadInput(f"no CLIP is named: name one at least, for example {next(iter(CLIPS))}")
    total = np.zeros((len(pictures), len(texts)), np.float32)
    for name in names:
        with opened(home(name), "CLIPModel", models, DTYPE) as clip:
            total += _of_pictures(clip, pictures) @ _of_texts(clip, texts).T
    return np.asarray(total / np.float32(len(names)), np.float32)


def cut(texts: Sequence[str], names: Sequence[str], models: Models) -> list[str]:
    """Those of the texts whose end one of the CLIPs does not read. Raises as opening them does."""
    long: set[str] = set()
    for name in names:
        with opened(home(name), "CLIPModel", models, DTYPE) as clip:
            tokens = clip.processor.tokenizer([tags(text)[0] for text in texts])["input_ids"]
            long |= {text for text, one in zip(texts, tokens, strict=True) if len(one) > _limit(clip)}
    return [text for text in texts if text in long]


def _limit(clip: Opened) -> int:
    return int(clip.net.config.text_config.max_position_embeddings)


def _of_pictures(clip: Opened, pictures: Sequence[np.ndarray]) -> np.ndarray:
    from PIL import Image

    found = []
    for one in pictures:  # each alone: they may be of any sizes
        given = clip.processor(images=Image.fromarray(one), return_tensors="pt").to(clip.net.device)
        found.append(_unit(clip.net.get_image_features(**given).pooler_output))
    return np.concatenate(found)


def _of_texts(clip: Opened, texts: Sequence[str]) -> np.ndarray:
    found = []
    for start in range(0, len(texts), AT_ONCE):
        words = [tags(text)[0] for text in texts[start : start + AT_ONCE]]
        given = clip.processor.tokenizer(
            words, padding=True, truncation=True, max_length=_limit(clip), return_tensors="pt"
        ).to(clip.net.device)
        found.append(_unit(clip.net.get_text_features(**given).pooler_output))
    return np.concatenate(found)


def _unit(features: "Tensor") -> np.ndarray:
    import torch.nn.functional as F

    return np.asarray(F.normalize(features.float(), dim=-1).cpu().numpy())
