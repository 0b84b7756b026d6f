"""Captions by the real classes of transformers, tiny and drawn by the test, saved to a folder as the hub has them.

Beside each stands a second way to its words: one forward pass a token, the likeliest taken.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel

from pipelines.core import templates, weights
from pipelines.core.device import Device
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models, NoRoom
from pipelines.parts.captioners import CAPTIONERS, How, Seen, keywords, lacks, ranking

PX = 28
PATCH = 14
WORDS = 6
TALL = {"size": {"height": PX, "width": PX}}
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    " ASSISTANT:"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, where networks are looked for."""
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def models() -> Models:
    return Models("cpu")


def picture(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    """Noise of its own colour."""
    chance = np.random.default_rng(seed)
    return (chance.integers(0, 255, 3) // 2 + chance.integers(0, 120, (height, width, 3))).astype(np.uint8)


PICTURES = [Seen(picture(seed), defect="crack", product="steel") for seed in range(5)]


def speaks() -> Any:
    """A byte-level tokenizer as OPT's and Llama 3's: any text is tokens, every token is text."""
    from transformers import GPT2Tokenizer

    vocab = {word: place for place, word in enumerate([*SPECIAL.values(), *sorted(ByteLevel.alphabet())])}
    return GPT2Tokenizer(vocab=vocab, merges=[], **SPECIAL)


def vision(kind: str) -> dict[str, Any]:
    return {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": PX,
        "patch_size": PATCH,
        **({"projection_dim": 12} if kind == "clip" else {}),
    }


def stirred(net: Any) -> Any:
    """Large weights: a tiny network as it is drawn says one word for every picture."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1.8 / parameter.shape[-1] ** 0.5)
    return net.eval()


def save_blip2(home: Path) -> tuple[Any, Any]:
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessor

    tokenizer = speaks()
    processor = Blip2Processor(BlipImageProcessor(**TALL), tokenizer, num_query_tokens=3)
    text = {
        "model_type": "opt",
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "word_embed_proj_dim": 16,
        "ffn_dim": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    qformer = {
        "vocab_size": 20,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "encoder_hidden_size": 16,
    }
    config = Blip2Config(
        vision_config=vision("blip2"),
        qformer_config=qformer,
        text_config=text,
        num_query_tokens=3,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    net = stirred(Blip2ForConditionalGeneration(config))
    return saved(net, processor, home / "captioners" / "blip2")


def save_blip(home: Path) -> tuple[Any, Any]:
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

    letters = [chr(one) for one in range(ord("a"), ord("z") + 1)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *letters, *(f"##{one}" for one in letters)]
    tokenizer = BertTokenizer(vocab={word: place for place, word in enumerate(words)})
    text = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "encoder_hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "bos_token_id": 5,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "projection_dim": 12,
    }
    net = stirred(BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision("blip"))))
    return saved(net, BlipProcessor(BlipImageProcessor(**TALL), tokenizer), home / "captioners" / "blip")


def save_llava(home: Path, template: str | None = TEMPLATE) -> tuple[Any, Any]:
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = speaks()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    images = CLIPImageProcessor(size={"shortest_edge": PX}, crop_size={"height": PX, "width": PX})
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    text = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **vision("llava")},
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
    )
    net = stirred(LlavaForConditionalGeneration(config))
    with torch.no_grad():
        net.lm_head.weight[config.image_token_index] = 0  # no picture is said
    return saved(net, processor, home / "captioners" / "llava")


def save_clip(home: Path, name: str, seed: int = 0) -> tuple[Any, Any]:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{one}</w>" for one in letters), "<|startoftext|>", "<|endoftext|>"]
    text = {
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "bos_token_id": len(words) - 2,
        "eos_token_id": len(words) - 1,
        "pad_token_id": len(words) - 1,
    }
    config = CLIPConfig(text_config=text, vision_config=vision("clip"), projection_dim=12)
    torch.manual_seed(seed)
    images = CLIPImageProcessor(size={"shortest_edge": PX}, crop_size={"height": PX, "width": PX})
    tokenizer = CLIPTokenizer(vocab={word: place for place, word in enumerate(words)}, merges=[], model_max_length=77)
    processor = CLIPProcessor(images, tokenizer)
    return saved(CLIPModel(config).eval(), processor, home / "clip" / name)


def saved(net: Any, processor: Any, folder: Path) -> tuple[Any, Any]:
    net.save_pretrained(folder)
    processor.save_pretrained(folder)
    return net, processor


def given(processor: Any, one: Seen, **more: Any) -> Any:
    return processor(images=Image.fromarray(one.picture), return_tensors="pt", **more)


@torch.no_grad()
def greedy(step: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, end: int, most: int) -> torch.Tensor:
    """The likeliest token by `step` (tokens [1, n] -> logits [1, n, words]) again and again; those that were new."""
    tokens = start
    for _ in range(most):
        following = step(tokens)[:, -1].argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, following], 1)
        if following.item() == end:
            break
    return tokens[0, start.shape[1] :]


def by_hand(name: str, net: Any, processor: Any, one: Seen, prompt: str, most: int) -> str:
    if name == "blip":
        pixels = given(processor, one)["pixel_values"]
        start = processor.tokenizer(prompt, return_tensors="pt")["input_ids"][:, :-1]
        start[:, 0] = net.config.text_config.bos_token_id
        with torch.no_grad():
            seen = net.vision_model(pixel_values=pixels)[0]
        new = greedy(lambda ids: net.text_decoder(ids, encoder_hidden_states=seen).logits, start, 3, most)
        new = torch.cat([start[0, 1:], new])
    else:
        if name == "llava":
            prompt = f"USER: <image>\n{prompt} ASSISTANT:"
            inputs = given(processor, one, text=prompt)
        else:
            inputs = given(processor, one, text=[prompt])
            if not prompt:
                inputs["input_ids"] = torch.tensor([[net.config.image_token_index] * 3 + [0]])
        pixels = inputs["pixel_values"]
        new = greedy(lambda ids: net(pixel_values=pixels, input_ids=ids).logits, inputs["input_ids"], 2, most)
    return templates.one_line(processor.tokenizer.decode(new, skip_special_tokens=True))


SAVED: dict[str, Callable[[Path], tuple[Any, Any]]] = {"blip2": save_blip2, "blip": save_blip, "llava": save_llava}
ASKED = [("blip2", ""), ("blip2", "Question: where is the {defect}? Answer:"), ("blip", ""), ("blip", "a photo of")]
ASKED += [("llava", "What is this {defect} on {product}?")]


@pytest.mark.parametrize(("name", "prompt"), ASKED)
def test_a_network_says_what_its_forward_pass_says_and_no_prompt(
    name: str, prompt: str, home: Path, models: Models, capfd: pytest.CaptureFixture[str]
) -> None:
    net, processor = SAVED[name](home)
    capfd.readouterr()
    assert lacks(name) is None
    words = prompt.format(defect="crack", product="steel")
    found = CAPTIONERS[name](PICTURES, How(prompt, max_new_tokens=WORDS, batch_size=3), models)
    assert found == [by_hand(name, net, processor, one, words, WORDS) for one in PICTURES]
    assert len(set(found)) > 1, "every picture has the same caption: nothing was seen"
    assert not [one for one in found if "Question" in one or "USER" in one or "[DEC]" in one]
    if name == "blip":
        assert all(one.startswith(prompt) for one in found), "what it goes on with is a part of it"
    assert capfd.readouterr() == ("", ""), "transformers has things to say"
    alone = [CAPTIONERS[name]([one], How(prompt, max_new_tokens=WORDS), models)[0] for one in PICTURES]
    assert alone == found, "a batch equals singles"
    (held,) = models.report()
    assert held["key"] == {"base": "captioners", "part": name, "dtype": "float32", "device": "cpu"}
    assert held["bytes"] > 1000
    assert not held["pinned"]


def test_pictures_of_any_size_and_prompts_of_any_length_share_a_batch(home: Path, models: Models) -> None:
    net, processor = save_llava(home)
    mixed = [
        Seen(picture(1, 1, 60), defect="crack"),
        Seen(picture(2, 60, 1), defect="a very long one"),
        Seen(picture(3, 3, 3), defect="crack"),
        Seen(picture(4, 33, 47)),
    ]
    found = CAPTIONERS["llava"](mixed, How("What {defect}?", max_new_tokens=WORDS), models)
    assert found == [
        by_hand("llava", net, processor, one, " ".join(f"What {one.defect}?".split()), WORDS) for one in mixed
    ]
    assert CAPTIONERS["llava"]([], How(), models) == []


def test_llava_is_asked_the_instruction_where_nobody_says_what(home: Path, models: Models) -> None:
    net, processor = save_llava(home)
    said = "Describe this crack defect on this steel surface in detail: its texture, shape and visual features."
    found = CAPTIONERS["llava"](PICTURES[:1], How(max_new_tokens=WORDS), models)
    assert found == [by_hand("llava", net, processor, PICTURES[0], said, WORDS)]


def test_networks_speak_in_the_number_format_of_the_device(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("cpu", "bfloat16", "for this test", 2**34)
    monkeypatch.setattr("pipelines.core.models.choose", lambda name: device)
    models = Models()
    for name, save in SAVED.items():
        save(home)
        assert all(CAPTIONERS[name](PICTURES[:2], How("What?", max_new_tokens=WORDS), models))
    assert {held["key"]["dtype"] for held in models.report()} == {"bfloat16"}
    assert torch.is_grad_enabled()
    save_clip(home, "small")
    ranking.ranked(picture(0), ["a"], ["small"], models)
    assert models.report()[0]["key"]["dtype"] == "float32", "candidates differ by less than bfloat16 can say"


def test_what_cannot_be_asked_is_refused(home: Path, models: Models) -> None:
    save_llava(home, template=None)
    with pytest.raises(BadInput, match=r"^llava in captioners has no chat template, so nobody knows how it is asked"):
        CAPTIONERS["llava"](PICTURES[:1], How("What?"), models)
    with pytest.raises(BadInput, match=r"^the prompt holds <image>, which stands for the picture itself: leave it out"):
        CAPTIONERS["llava"](PICTURES[:1], How("What is in <image>?"), models)
    save_llava(home, template="{% for %}")
    with pytest.raises(BadInput, match=r"^the chat template of llava in captioners cannot be read \(.+\): fetch it"):
        CAPTIONERS["llava"](PICTURES[:1], How("What?"), Models("cpu"))
    with pytest.raises(BadInput, match="has no field 'place'"):
        CAPTIONERS["llava"](PICTURES[:1], How("What is {place}?"), models)


def test_damaged_folders_are_refused_in_a_sentence(home: Path, models: Models) -> None:
    save_blip(home)
    folder = home / "captioners" / "blip"
    file = folder / "model.safetensors"
    whole, tensors = file.read_bytes(), load_file(file)

    def refused(words: str) -> None:
        with pytest.raises(BadInput, match=words):
            CAPTIONERS["blip"](PICTURES[:1], How(), models)
        assert models.report() == []

    file.write_bytes(whole[:-50])
    refused(r"^blip/model\.safetensors is cut off: \d+ of \d+ bytes are here; fetch it again$")
    name = next(iter(tensors))
    save_file({key: one for key, one in tensors.items() if key != name}, file, {"format": "pt"})
    refused(r"^blip in captioners is not whole, or another network: fetch the folder again from Salesforce/blip-image")
    save_file({**tensors, name: torch.full_like(tensors[name], torch.nan)}, file, {"format": "pt"})
    refused(rf"^blip in captioners: '{name.replace('.', '[.]')}' holds NaN or infinity: fetch the folder again$")
    file.write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "text_config": {"vocab_size": "many"}}))
    refused(r"^blip in captioners cannot be opened \(.+\): fetch the folder again from Salesforce/blip-image-captionin")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "processor_config.json").unlink()
    refused(r"^blip in captioners (cannot be opened|is not whole)")


def test_code_in_a_folder_is_not_run(home: Path, models: Models) -> None:
    save_llava(home)
    folder = home / "captioners" / "llava"
    ran = home / "ran"
    (folder / "modeling_own.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"auto_map": {"AutoConfig": "modeling_own.Own", "AutoModelForImageTextToText": "modeling_own.Own"}}
    (folder / "config.json").write_text(json.dumps({**config, **own, "model_type": "own"}))
    with pytest.raises(BadInput, match=r"^llava in captioners cannot be opened \("):
        CAPTIONERS["llava"](PICTURES[:1], How(), models)
    assert not ran.exists()


def test_what_does_not_fit_is_refused_before_it_is_read(home: Path) -> None:
    save_blip(home)
    with pytest.raises(NoRoom, match=r"^captioners/blip \(float32, cpu\) needs"):
        CAPTIONERS["blip"](PICTURES[:1], How(), Models("cpu", budget_bytes=10_000))


def test_transformers_is_as_talkative_afterwards_as_before(home: Path, models: Models) -> None:
    from transformers.utils import logging as of_transformers

    save_clip(home, "small")
    before = of_transformers.get_verbosity()
    of_transformers.set_verbosity(logging.INFO)
    try:
        ranking.ranked(picture(0), ["a"], ["small"], models)
        assert of_transformers.get_verbosity() == logging.INFO
    finally:
        of_transformers.set_verbosity(before)


CANDIDATES = ["a scratch", "rust, high detail", "steel", "a scratch", "a <lora:x:0.8>dent"]


def cosines(net: Any, processor: Any, pixels: np.ndarray, texts: list[str]) -> list[float]:
    """By the whole model's own answer, one text at a time."""
    found = []
    for text in texts:
        inputs = processor(
            images=Image.fromarray(pixels), text=[text], truncation=True, max_length=77, return_tensors="pt"
        )
        with torch.no_grad():
            answer = net(**inputs)
        one, other = answer.image_embeds[0], answer.text_embeds[0]
        found.append(float((one @ other) / (one.norm() * other.norm())))
    return found


def test_candidates_are_ranked_by_their_cosine(home: Path, models: Models) -> None:
    net, processor = save_clip(home, "small")
    found = ranking.ranked(picture(1), CANDIDATES, ["small"], models)
    plain = [text.replace("<lora:x:0.8>", "") for text in dict.fromkeys(CANDIDATES)]
    wanted = dict(zip(dict.fromkeys(CANDIDATES), cosines(net, processor, picture(1), plain), strict=True))
    assert [text for text, _ in found] == sorted(wanted, key=lambda text: -wanted[text])
    for text, score in found:
        assert score == pytest.approx(wanted[text], abs=1e-5)
    assert len({round(score, 4) for _, score in found}) == len(found)
    (held,) = models.report()
    assert held["key"]["base"] == "clip"


def test_several_clips_are_a_mean(home: Path, models: Models) -> None:
    pairs = [save_clip(home, name, seed) for seed, name in enumerate(("one", "two"))]
    texts = CANDIDATES[:3]
    apart = np.array([cosines(net, processor, picture(2), texts) for net, processor in pairs])
    found = dict(ranking.ranked(picture(2), texts, ["one", "two"], models))
    assert np.allclose([found[text] for text in texts], apart.mean(0), atol=1e-5)
    assert not np.allclose(apart[0], apart[1], atol=1e-3)
    many = ranking.similarities([picture(2), picture(3, 7, 90)], texts, ["one", "two"], models)
    assert many.shape == (2, 3)
    assert np.allclose(many[0], apart.mean(0), atol=1e-5)


def test_many_candidates_score_as_each_alone(home: Path, models: Models) -> None:
    save_clip(home, "small")
    texts = [f"{number} " + "scratch " * (number % 9) for number in range(70)]
    together = dict(ranking.ranked(picture(1), texts, ["small"], models))
    for text in texts[::13]:
        assert ranking.ranked(picture(1), [text], ["small"], models)[0][1] == pytest.approx(together[text], abs=1e-5)


def test_long_candidates_are_cut_and_named(home: Path, models: Models) -> None:
    net, processor = save_clip(home, "small")
    long = " ".join(["detail"] * 40)
    assert ranking.cut(["a", long], ["small"], models) == [long]
    ((_, score),) = ranking.ranked(picture(1), [long], ["small"], models)
    assert score == pytest.approx(cosines(net, processor, picture(1), [long])[0], abs=1e-5)


def test_the_best_variant_comes_first(home: Path, models: Models) -> None:
    save_clip(home, "small")
    found = ranking.best(picture(1), ["a strip", "a plate"], "scratches", "steel", ["small"], models)
    assert len(found) == 10
    alone = [ranking.ranked(picture(1), [text], ["small"], models)[0][1] for text, _ in found]
    assert [score for _, score in found] == pytest.approx(alone, abs=1e-5)
    assert alone[0] == max(alone)
    assert {"a strip", "a plate, steel defect, scratches"} <= {text for text, _ in found}


def test_a_ranking_without_clips_or_candidates_is_refused(home: Path, models: Models) -> None:
    refusals: list[tuple[list[str], list[str], type[Exception], str]] = [
        (["a"], [], BadInput, "^no CLIP is named: name one at least"),
        ([], ["small"], BadInput, "^nothing to choose among"),
        (["a"], ["../small"], BadInput, r"^no CLIP is called '\.\./small': name a folder in clip"),
        (["a"], ["small"], Missing, rf"^small is not in {home.name}/clip: put its folder there \(it is for example op"),
    ]
    for candidates, names, kind, words in refusals:
        with pytest.raises(kind, match=words):
            ranking.ranked(picture(0), candidates, names, models)
    save_blip(home)
    (home / "clip").mkdir()
    (home / "captioners" / "blip").rename(home / "clip" / "small")
    with pytest.raises(BadInput, match=r"^small in clip (cannot be opened|is not whole)"):
        ranking.ranked(picture(0), ["a"], ["small"], models)


def test_the_preferred_clip_comes_first(home: Path) -> None:
    for name in ("a-own", "CLIP-ViT-H-14-laion2B-s32B-b79K", "clip-vit-large-patch14", ".hidden", "empty"):
        folder = home / "clip" / name
        folder.mkdir(parents=True)
        if name != "empty":
            (folder / "config.json").write_text("{}")
            (folder / "model.safetensors").write_bytes(b"weights")
    assert ranking.here() == ["clip-vit-large-patch14", "CLIP-ViT-H-14-laion2B-s32B-b79K", "a-own"]


def test_keywords_are_those_that_fit_a_picture_best(home: Path, models: Models) -> None:
    save_clip(home, "small")
    assert lacks("keywords") is None
    seen = [Seen(picture(seed), said="deep scratch, rust, metal strip, grain, oil") for seed in (1, 2)]
    how = How(keywords=("surface", "steel"))
    found = CAPTIONERS["keywords"](seen, how, models)
    words = keywords.candidates([one.said for one in seen], how.keywords)
    assert len(words) == 7
    for one, caption in zip(seen, found, strict=True):
        ranked = ranking.ranked(one.picture, words, ["small"], models)
        assert caption == ", ".join(word for word, _ in ranked[: keywords.KEPT])
    assert CAPTIONERS["keywords"]([Seen(picture(1))], How(), models) == [""]
