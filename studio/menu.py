"""The menu of defects in an inspector's words: products, what each is known for, and what a choice means for a request.

A choice is a preset (`steel/scratches`) or a kind of defect (`scratch`). Knows presets and kinds; no Gradio.
"""

from typing import Any

from pipelines.core import kinds, presets
from pipelines.core.errors import BadInput

EVERY = "*"
FIRST = "generic"


def products() -> list[tuple[str, str]]:
    """(label, id): any product first, then those with presets, then the list of every kind."""
    known = presets.products()
    order = sorted(known.values(), key=lambda product: (product.id != FIRST, product.label))
    return [*((product.label, product.id) for product in order), ("Every kind of defect", EVERY)]


def defects(product: str) -> list[tuple[str, str]]:
    """(label, choice) of a product. Raises BadInput."""
    if product == EVERY:
        return [(kind.label, kind.id) for kind in kinds.load().values()]
    known = presets.products()
    if product not in known:
        raise BadInput(f"no product {product!r}; there is {', '.join(known)}", "preset")
    return [(preset.label, preset.id) for preset in known[product].presets if preset.task == "inpaint"]


def titles() -> dict[str, str]:
    """What to call each choice."""
    return {choice: label for _, product in products() for label, choice in defects(product)}


def fields(choice: str) -> dict[str, Any]:
    """What a choice says of a request: its defect, and whatever else its preset sets. Raises BadInput."""
    if "/" in choice:
        return dict(presets.get(choice).fields)
    return {"defect": kinds.get(choice).id}


def help_text(choice: str) -> str:
    """What the defect is, in a sentence, with its technical name."""
    kind = kinds.get(fields(choice)["defect"])
    return f"{kind.help} `{kind.id}`"
