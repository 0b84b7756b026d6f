"""Captions put together: templates with named fields, and variants of a prompt for CLIP to choose among.

Knows words; no pictures and no networks.
"""

from collections.abc import Iterable

from pipelines.core.templates import distinct, filled, one_line, tidy
from pipelines.parts.captioners import nouns
from pipelines.parts.captioners.seen import Seen

TEMPLATE = "{caption}, {defect}, {keywords}"
"""As the steel pipeline mixes; {token} is the word that a textual inversion taught."""
INSTRUCTION = (
    "Describe this {defect} defect on this {product} surface in detail: its texture, shape and visual features."
)
"""What a model is asked that takes instructions."""
VARIANTS = (
    "{p}",
    "{p}, high detail, macro photography",
    "{p}, industrial inspection, surface texture",
    "{p}, {product} defect, {defect}",
    "{p}, grayscale, monochrome, no humans",
)


def mixed(
    template: str,
    *,
    caption: str = "",
    token: str = "",
    defect: str = "",
    product: str = "",
    folder: str = "",
    keywords: Iterable[str] = (),
) -> str:
    """The template with its fields, each of them by its name here; what is empty or said already is left out.

    `defect` and `product` are as the data set calls them. Raises BadInput for a field that there is not.
    """
    fields = {
        "caption": caption,
        "token": token,
        "defect": nouns.called(defect),
        "product": nouns.called(product),
        "folder": folder,
        "keywords": ", ".join(keywords),
    }
    return tidy(filled(template, fields, "template"))


def variants(prompt: str, defect: str = "", product: str = "") -> list[str]:
    """The prompt first, then its variants in VARIANTS, none twice."""
    fields = {"p": prompt, "defect": nouns.called(defect), "product": nouns.called(product)}
    return distinct(tidy(filled(template, fields, "template")) for template in VARIANTS)


def asked(prompt: str, seen: Seen) -> str:
    """A question or instruction for one picture. Raises BadInput for a field that there is not."""
    fields = {"defect": nouns.called(seen.defect), "product": nouns.called(seen.product)}
    return one_line(filled(prompt, fields, "prompt"))
