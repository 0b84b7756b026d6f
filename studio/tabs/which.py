"""The card "which defect": product, defect, how severe, seed, and under Expert the rest of the request.

Knows the menu and the form; nothing of pictures, masks or runs. Severity and defect are noted on the canvas for the
area that is being painted, so that several areas may each have their own.
"""

import random
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core.requests import Inpaint
from pipelines.core.requests.generate import SEED_MAX
from studio import canvas, menu, watch
from studio.form import Form, Words
from studio.page import QUIET

FIELDS = {
    "severity": Words("How severe"),
    "num_images": Words("Variants", high=24, slider=False),
    "seed": Words("Seed"),
    "light": Words("Light comes from", auto="Read the light from the picture"),
    "strength": Words("How far may it stray from the original?"),
    "feather_px": Words("Soft edge", high=32),
    "padding_px": Words("Surroundings looked at", high=256),
    "label": Words("Label in the data set", choices={"changed": "What changed", "asked": "What was painted"}),
}
START: dict[str, Any] = {"severity": Inpaint.model_fields["severity"].default}


@dataclass(frozen=True)
class Which:
    """The card's controls."""

    form: Form
    product: Any
    defect: Any
    about: Any
    dice: Any


def first() -> str:
    """The choice that stands when the page opens."""
    return menu.defects(menu.FIRST)[0][1]


def draw() -> Which:
    """The card, in the block that is open."""
    form = Form(Inpaint, FIELDS)
    with gr.Column(elem_classes="card", elem_id="which"):
        product = gr.Dropdown(menu.products(), value=menu.FIRST, label="Product", elem_id="product")
        defect = gr.Dropdown(menu.defects(menu.FIRST), value=first(), label="Defect", elem_id="defect")
        about = gr.Markdown(menu.help_text(first()), elem_id="about")
        form.draw("severity")
        with gr.Row(elem_id="seeds"):
            form.draw("num_images", "seed")
            dice = gr.Button("New seed", elem_id="dice", min_width=44, scale=0)
        with gr.Accordion("Expert", open=False, elem_id="expert"):
            form.draw("light", "strength", "feather_px", "padding_px", "label")
    return Which(form, product, defect, about, dice)


def wire(which: Which, painted: Any, element: str) -> None:
    """`painted` is the canvas, `element` its id on the page."""
    which.form.wire()
    severity = which.form.control("severity")
    about = [which.about, *which.form.inputs]

    def of_product(product: str) -> list[Any]:
        with watch.refusals():
            found = menu.defects(product)
        return [gr.update(choices=found, value=found[0][1]), *chosen(found[0][1])]

    def chosen(defect: str) -> list[Any]:
        with watch.refusals():
            return [menu.help_text(defect), *which.form.show({**START, **menu.fields(defect)})]

    def note(event: Any) -> None:
        event(None, [which.defect, severity], None, js=canvas.assign(element))

    note(which.product.input(of_product, which.product, [which.defect, *about], **QUIET).then)
    note(which.defect.input(chosen, which.defect, about, **QUIET).then)
    note(severity.input)
    which.dice.click(lambda: random.randint(0, SEED_MAX), None, which.form.control("seed"), **QUIET)
    shown = [which.defect, severity]
    painted.select(None, shown, shown, js=canvas.active(element)).then(menu.help_text, shown[0], which.about, **QUIET)
