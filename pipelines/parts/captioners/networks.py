"""Captions by networks: BLIP (arXiv 2201.12086), BLIP-2 (arXiv 2301.12597) and LLaVA's kind (arXiv 2304.08485).

Greedy, so that a picture always gets the same caption; only inputs of one shape are computed together, so that nothing
is padded and a batch says what each of its pictures alone would have.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core import captioners, templates
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts.captioners import mixing
from pipelines.parts.captioners.opening import Opened, opened
from pipelines.parts.captioners.seen import How, Seen

SHELF = captioners.NETWORKS_SHELF


@dataclass(frozen=True)
class Network:
    """What a network is opened as, what it is given, and how much of its answer is the question again."""

    kind: str
    given: Callable[[Any, Any, str], Mapping[str, Any]]
    """(processor, PIL picture, question) -> its inputs, a batch of one."""
    echo: Callable[[Any, Mapping[str, Any]], int] = lambda net, given: 0
    """(network, inputs) -> with how many tokens that were given its answer begins."""
    asks: str = ""
    """Where nobody says what."""


def captions(name: str, seen: Sequence[Seen], how: How, models: Models) -> list[str]:
    """What the network says of each picture, in one line.

    Raises Missing without its folder, BadInput where that is damaged or the prompt cannot be asked.
    """
    network = NETWORKS[name]
    questions = [mixing.asked(how.prompt or network.asks, one) for one in seen]
    said: list[str] = []
    with opened(captioners.network(name), network.kind, models) as held:
        for start in range(0, len(seen), how.batch_size):
            end = start + how.batch_size
            inputs = [
                _inputs(network, held, one.picture, question)
                for one, question in zip(seen[start:end], questions[start:end], strict=True)
            ]
            answers = [""] * len(inputs)
            for group in _alike(inputs):
                for at, answer in zip(group, _answers(network, held, [inputs[at] for at in group], how), strict=True):
                    answers[at] = answer
            said += answers
    return said


def _inputs(network: Network, held: Opened, picture: np.ndarray, question: str) -> Mapping[str, Any]:
    from PIL import Image

    token = str(getattr(held.processor, "image_token", ""))
    if token and token in question:
        raise BadInput(f"the prompt holds {token}, which stands for the picture itself: leave it out", "prompt")
    return network.given(held.processor, Image.fromarray(picture), question)


def _alike(inputs: Sequence[Mapping[str, Any]]) -> Iterator[list[int]]:
    """Places of inputs that can be computed together."""
    groups: dict[tuple[tuple[str, tuple[int, ...]], ...], list[int]] = {}
    for at, given in enumerate(inputs):
        groups.setdefault(tuple((name, tuple(one.shape)) for name, one in given.items()), []).append(at)
    yield from groups.values()


def _answers(network: Network, held: Opened, inputs: Sequence[Mapping[str, Any]], how: How) -> list[str]:
    import torch

    batch = {}
    for name in inputs[0]:
        one = torch.cat([given[name] for given in inputs]).to(held.net.device)
        batch[name] = one.to(held.net.dtype) if one.is_floating_point() else one
    tokens = held.net.generate(**batch, max_new_tokens=how.max_new_tokens, do_sample=False, num_beams=1)
    echo = 0 if _answers_apart(held.net) else network.echo(held.net, batch)
    texts = held.processor.batch_decode(tokens[:, echo:], skip_special_tokens=True)
    return [templates.one_line(text) for text in texts]


def _answers_apart(net: Any) -> bool:
    """Whether the language model reads and writes in two places (T5), and so repeats nothing."""
    return bool(getattr(net.config.get_text_config(), "is_encoder_decoder", False))


def _shown(processor: Any, picture: Any, question: str) -> Mapping[str, Any]:
    """The picture, and a text where there is one: BLIP and BLIP-2 also do without."""
    text = {"text": [question]} if question else {}
    return dict(processor(images=picture, return_tensors="pt", **text))


def _told(processor: Any, picture: Any, question: str) -> Mapping[str, Any]:
    """The instruction in the words that the model's own chat template makes of it."""
    template = processor.chat_template or processor.tokenizer.chat_template
    if not template:
        raise BadInput(
            f"llava in {SHELF} has no chat template, so nobody knows how it is asked: fetch its chat_template file"
        )
    from jinja2 import TemplateError

    content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
    try:
        made = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    except TemplateError as error:
        raise BadInput(f"the chat template of llava in {SHELF} cannot be read ({error}): fetch it again") from error
    return dict(made)


def _echo_of_blip2(net: Any, given: Mapping[str, Any]) -> int:
    """Its places for the picture and its question; without one its own beginning of a sentence."""
    return given["input_ids"].shape[1] if "input_ids" in given else int(net.config.num_query_tokens) + 1


NETWORKS: dict[str, Network] = {
    "blip2": Network("Blip2ForConditionalGeneration", _shown, _echo_of_blip2),
    # A beginning that BLIP is given is part of its caption; the mark before it is not.
    "blip": Network("BlipForConditionalGeneration", _shown, lambda *_: 1),
    "llava": Network(
        "AutoModelForImageTextToText",
        _told,
        lambda net, given: int(given["input_ids"].shape[1]),
        mixing.INSTRUCTION,
    ),
}
