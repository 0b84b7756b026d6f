"""DefectFill: its equations against hand-written ones on a tiny base of 9 channels, and whole trainings of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models
from pipelines.core.requests import TrainDefectfill
from pipelines.parts import attention, denoising, likeness
from pipelines.parts.feed import Batch
from pipelines.train import defectfill, material
from pipelines.train.adapting import adapter
from pipelines.train.recipe import opened
from pipelines.worker import Worker
from tests import tiny, training

pytestmark = pytest.mark.usefixtures("here")
USUAL: dict[str, Any] = {
    "task": "train-defectfill",
    "base": "holes",
    "defect": "scratch",
    "resolution": 32,
    "rank": 4,
    "train_batch_size": 2,
    "max_train_steps": 3,
    "checkpointing_steps": 2,
    "num_validation_images": 0,
    "views": 2,
}


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "tiny")
    tiny.stable_diffusion(folder / "holes", in_channels=9)
    tiny.sdxl(folder / "large", in_channels=9)
    return folder


@contextmanager
def filling(runs: Path, data: Path, **fields: Any) -> Iterator[defectfill.Filling]:
    """The recipe as the loop would ask it, in this process."""
    asked = requests.parse({**USUAL, "data": str(data), **fields})
    request = intake.from_paths(asked, Assets(runs))
    assert isinstance(request, TrainDefectfill)
    run = training.held(runs, request)
    found = material.gather(request, run)
    with opened(request, Models("cpu")) as base, defectfill._words(request, base) as words:
        shown = defectfill.shown(material.marked(found, request, run)[0], request, words)
        with adapter(base, request, run) as learner:
            noising, maps = defectfill._noising(base), attention.Living()
            with attention.watched(base, maps):
                yield defectfill.Filling(request, noising, learner, shown, [], run, maps, words)


def noised(recipe: defectfill.Filling, batch: Batch) -> denoising.Noised:
    return denoising.noised(recipe.base, batch.latents, denoising.Levels(), 5, 0)


def slope(recipe: defectfill.Filling, terms: dict[str, Tensor], name: str, layer: str) -> float:
    """The largest gradient that one loss has at the adapter of the layers so named."""
    own = {key: one for key, one in recipe.learner._named("unet") if f"attn2.{layer}.lora_B" in key}
    found = torch.autograd.grad(terms[name], list(own.values()), retain_graph=True, allow_unused=True)
    return max(0.0 if one is None else float(one.abs().max()) for one in found)


@pytest.mark.parametrize("scales", ["mean", "each"])
@pytest.mark.parametrize("look", ["object", "defect"])
def test_the_attention_loss_has_a_living_gradient(runs: Path, data: Path, scales: str, look: str) -> None:
    with filling(runs, data, attention_scales=scales, attention_pass=look, text_encoder=False) as recipe:
        batch = recipe.feed.batch(0)
        given = noised(recipe, batch)
        terms = recipe.terms(batch, given)
        assert list(terms) == ["defect", "object", "attention"]
        once = slope(recipe, terms, "attention", "to_k")
        assert once > 0
        recipe.wish = recipe.wish.model_copy(update={"attention_loss_weight": 0.1})
        assert slope(recipe, recipe.terms(batch, given), "attention", "to_k") == pytest.approx(2 * once, rel=1e-4)
        recipe.wish = recipe.wish.model_copy(update={"attention_loss_weight": 0.0})
        assert "attention" not in recipe.terms(batch, given)


def test_the_losses_are_those_of_the_paper(runs: Path, data: Path) -> None:
    """Each pass alone, weights and means written out pixel by pixel, the maps by diffusers' own attention."""
    with filling(runs, data) as recipe, torch.no_grad():
        batch = recipe.feed.batch(0)
        given = noised(recipe, batch)
        found = recipe.terms(batch, given)
        recipe.maps.expect(())
        base, area = recipe.base, batch.area
        assert batch.filled is not None
        one = base.encode_prompt(["A photo of sks"] * 2)
        two = base.encode_prompt(["A part with sks"] * 2)
        defect = base.predict(given.noisy, given.timesteps, one, batch.filled) - given.target
        whole = base.predict(given.noisy, given.timesteps, two, batch.beside) - given.target
        assert float(found["defect"]) == pytest.approx(0.5 * by_hand(defect, area), rel=1e-4)
        assert float(found["object"]) == pytest.approx(0.2 * by_hand(whole, area + 0.3 * (1 - area)), rel=1e-4)
        maps = attended(recipe, given, two, batch)
        apart = float(((maps - area) ** 2).mean())
        assert float(found["attention"]) == pytest.approx(0.05 * apart, rel=1e-3)


def by_hand(off: Tensor, weights: Tensor) -> float:
    rows = []
    for row, weight in zip(off, weights[:, 0], strict=True):
        total = sum(
            float(weight[y, x] * row[c, y, x] ** 2)
            for c in range(row.shape[0])
            for y in range(row.shape[1])
            for x in range(row.shape[2])
        )
        rows.append(total / (row.shape[0] * float(weight.sum())))
    return sum(rows) / len(rows)


def attended(recipe: defectfill.Filling, given: denoising.Noised, text: Any, batch: Batch) -> Tensor:
    """[B, 1, h, w] of the word's token, by diffusers' own scores in the decoder's cross-attention."""
    base, found = recipe.base, []
    places = attention.places(base, "A part with sks", ["sks"])

    class Scores:
        def __call__(self, layer: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **more: Any) -> Tensor:
            query, key, value = (
                layer.head_to_batch_dim(one)
                for one in (
                    layer.to_q(hidden_states),
                    layer.to_k(encoder_hidden_states),
                    layer.to_v(encoder_hidden_states),
                )
            )
            scores = layer.get_attention_scores(query, key)
            side = round(scores.shape[1] ** 0.5)
            map = scores.view(len(hidden_states), -1, *scores.shape[1:]).mean(1)[:, :, places].mean(-1)
            map = map.view(-1, 1, side, side)
            found.append(torch.nn.functional.interpolate(map, size=batch.area.shape[-2:], mode="bilinear"))
            return layer.to_out[0](layer.batch_to_head_dim(scores @ value))

    unet = base.denoiser
    before = dict(unet.attn_processors)
    ours = {name: Scores() if "up_blocks" in name and "attn2" in name else one for name, one in before.items()}
    unet.set_attn_processor(ours)
    try:
        base.predict(given.noisy, given.timesteps, text, batch.beside)
    finally:
        unet.set_attn_processor(before)
    return torch.stack(found).mean(0)


def test_both_looks_share_noise_and_timestep_and_hide_what_they_should(
    runs: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filling(runs, data) as recipe:
        seen: list[tuple[Tensor, ...]] = []
        predict = recipe.base.predict

        def spy(noisy: Tensor, timesteps: Tensor, text: Any, beside: Tensor | None = None) -> Tensor:
            assert beside is not None
            seen.append((noisy, timesteps, beside))
            return predict(noisy, timesteps, text, beside)

        monkeypatch.setattr(recipe.base, "predict", spy)
        batch = recipe.feed.batch(0)
        recipe.terms(batch, noised(recipe, batch))
        ((noisy, timesteps, beside),) = seen
        assert torch.equal(noisy[:2], noisy[2:])
        assert torch.equal(timesteps[:2], timesteps[2:])
        assert torch.equal(beside[:2, :1] > 0, batch.cells)  # the defect, to the last cell it touches
        assert not torch.equal(beside[:2, :1], beside[2:, :1])
        # what is hidden was hidden in the picture: its latents are those of the masked picture
        place, view = batch.places[0], 0
        batch = recipe.feed.of([(place, view)], torch.Generator().manual_seed(0))
        pixels, marked = recipe.feed.picture(place, view)
        hole = torch.nn.functional.interpolate(batch.cells.float(), size=pixels.shape[-2:]) > 0
        assert (marked & ~hole).sum() == 0
        with torch.no_grad():
            expected = recipe.base.scaled(recipe.base.encode_image((pixels * 2 - 1) * ~hole).mode())
        assert batch.filled is not None
        assert torch.allclose(batch.filled[:, 1:], expected, atol=1e-5)


def test_the_defect_loss_sees_nothing_outside_the_mask(runs: Path, data: Path) -> None:
    with filling(runs, data, attention_loss_weight=0) as recipe, torch.no_grad():
        batch = recipe.feed.batch(0)
        given = noised(recipe, batch)
        outside = torch.where(batch.cells, 0.0, 3.0)
        moved = replace(given, target=given.target + outside)
        before, after = recipe.terms(batch, given), recipe.terms(batch, moved)
        assert float(after["defect"]) == pytest.approx(float(before["defect"]), rel=1e-6)
        assert float(after["object"]) > float(before["object"]) + 0.1


def test_a_mean_over_nothing_is_no_nan() -> None:
    values, weights = torch.ones(2, 4, 8, 8), torch.zeros(2, 1, 8, 8)
    assert float(denoising.marked_mean(values, weights)) == 0
    weights[1, 0, 3, 3] = 1e-3
    assert float(denoising.marked_mean(values, weights)) == pytest.approx(1)


def test_masks_of_one_pixel_train(worker: Worker, tmp_path: Path) -> None:
    data = training.dataset(tmp_path / "part", good=1)
    for path in (data / "ground_truth/scratch").iterdir():
        mask = np.zeros(images.read(path).pixels.shape[:2], np.uint8)
        mask[17, 23] = 255
        images.write_png(path, mask)
    row, run = training.answer(worker, {**USUAL, "data": str(data)})
    assert row.state == "done", row.sentence
    learned = load_file(run / "weights/pytorch_lora_weights.safetensors")
    assert all(torch.isfinite(one).all() for one in learned.values())


def test_the_memory_saver_leaves_the_attention_its_gradient(runs: Path, data: Path) -> None:
    def gradients(**fields: Any) -> list[Tensor]:
        with filling(runs, data, **fields) as recipe:
            recipe.base.denoiser.train()  # or the saver stays idle
            batch = recipe.feed.batch(0)
            sum(recipe.terms(batch, noised(recipe, batch)).values(), torch.zeros(())).backward()
            recipe.base.denoiser.eval()
            return [one.grad.clone() for one in recipe.learner.parameters("unet") if one.grad is not None]

    plain, saved = gradients(), gradients(gradient_checkpointing=True)
    assert len(plain) == len(saved) > 0
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(plain, saved, strict=True))


@pytest.mark.parametrize("base", ["holes", pytest.param("large", marks=pytest.mark.long)])
def test_a_training_shows_its_attention_and_its_adapter_paints(worker: Worker, data: Path, base: str) -> None:
    row, run = training.answer(worker, {**USUAL, "data": str(data), "base": base, "num_validation_images": 1})
    assert row.state == "done", row.sentence
    logged = [line for line in training.lines(run) if "samples" in line]
    shown = logged[-1]["samples"]
    assert list(shown) == ["A part with sks", "@attention"]
    picture = images.read(run / shown["@attention"][0]).pixels
    assert picture.shape == (32, 96, 3)
    assert set(np.unique(picture[:, 32:64])) == {0, 255}
    assert 0 < logged[-1]["attention_inside"] < 1
    good = sorted((data / "train/good").iterdir())[0]
    mask = np.zeros(images.read(good).pixels.shape[:2], np.uint8)
    cv2.line(mask, (8, 8), (30, 30), 255, 3)
    images.write_png(run / "mask.png", mask)
    painted: dict[str, Any] = {
        "task": "inpaint",
        "base": base,
        "image": str(good),
        "mask": str(run / "mask.png"),
        "defect": "scratch",
    }
    painted |= {"adapters": [{"path": row.id}], "num_inference_steps": 2, "prompt": "A part with sks"}
    made, folder = training.answer(worker, painted)
    assert made.state == "done", made.sentence
    assert images.read_mask(folder / "masks/00000.png").any()


def test_a_new_word_is_learned_along_and_goes_where_the_adapter_goes(worker: Worker, data: Path) -> None:
    asked = {**USUAL, "data": str(data), "word": "<{defect}>", "new_word": True, "num_vectors": 2}
    row, run = training.answer(worker, asked)
    assert row.state == "done", row.sentence
    words = load_file(run / "weights/learned_embeds.safetensors")
    assert {key: len(one) for key, one in words.items()} == {"<scratch>": 2}
    assets = Assets(worker.queue.runs)
    used = {"task": "text", "base": "tiny", "prompt": "A part with <scratch>", "adapters": [{"path": row.id}]}
    taken: Any = intake.from_paths(requests.parse(used), assets)
    assert [assets.get(one.path).name for one in taken.adapters] == [
        "pytorch_lora_weights.safetensors",
        "learned_embeds.safetensors",
    ]
    still = training.answer(worker, {**asked, "learning_rate": 1e-12, "text_encoder_lr": 1e-12})[1]
    begun = load_file(still / "weights/learned_embeds.safetensors")["<scratch>"]
    assert not torch.allclose(begun, words["<scratch>"], atol=1e-7)


def test_several_defects_each_have_their_word(runs: Path, tmp_path: Path) -> None:
    data = training.dataset(tmp_path / "bottle", good=1)
    for number in range(2):  # the same pictures under another name
        for kind in ("test", "ground_truth"):
            (data / kind / "dent").mkdir(parents=True, exist_ok=True)
            for path in sorted((data / kind / "scratch").iterdir()):
                pixels = images.read(path).pixels
                images.write_png(data / kind / "dent" / path.name, np.roll(pixels, number + 1, axis=0))
    fields: dict[str, Any] = {"also": ("dent",), "word": "{defect}"}
    with filling(runs, data, **fields) as recipe:
        assert sorted(recipe.prompts()) == ["A bottle with dent", "A bottle with scratch"]
        assert sorted(recipe.alone.values()) == ["A photo of dent", "A photo of scratch"]
        assert recipe.wish.said(recipe.wish.instance_prompt, "scratch", "dent") == "A bottle with scratch and dent"
    with pytest.raises(BadInput, match="stands for 2 defects at once"):
        requests.parse({**USUAL, "data": str(data), "also": ["dent"]})


def test_a_training_stopped_in_the_middle_ends_in_the_same_bits(worker: Worker, data: Path) -> None:
    asked = {**USUAL, "data": str(data), "word": "<{defect}>", "new_word": True, "max_train_steps": 4}
    whole = training.answer(worker, asked)[1]
    with training.stopped(worker, 2, of=4):
        row, run = training.answer(worker, asked)
    assert row.state == "cancelled"
    assert training.again(worker, row.id).state == "done"
    for name in ("pytorch_lora_weights.safetensors", "learned_embeds.safetensors"):
        assert training.equal(whole / "weights" / name, run / "weights" / name)


def test_what_is_wrong_is_said_before_the_first_step(worker: Worker, data: Path, tmp_path: Path) -> None:
    def sentence(**fields: Any) -> str:
        row, _ = training.answer(worker, {**USUAL, "data": str(data), **fields})
        assert row.state == "failed"
        return row.sentence or ""

    assert "base tiny was not made to inpaint with a UNet of 9 channels" in sentence(base="tiny")
    assert "put alexnet-owt-7be5be79.pth and alex.pth into" in sentence(perceptual_weight=0.1)
    bare = training.dataset(tmp_path / "bare", good=1)
    for path in (bare / "ground_truth/scratch").iterdir():
        path.unlink()
    assert "no picture of scratch has a mask or a box" in sentence(data=str(bare), faults={"missing_mask": "use"})
    for fields, said in (
        ({"defect": None}, "defect is missing"),
        ({"mix": "cutmix"}, "blended pictures lose their masks"),
        ({"part_prompt": "A photo"}, "has no {word} in it"),
        ({"defect_loss_weight": 0, "object_loss_weight": 0}, "nothing would be learned"),
    ):
        with pytest.raises(BadInput, match=said):
            requests.parse({**USUAL, "data": str(data), **fields})


def test_the_perceptual_term_is_lpips_inside_the_mask(
    runs: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models_folder: Path
) -> None:
    """On random weights of the real layout; nothing outside the mask counts, and the adapter feels it."""
    with pytest.raises(Missing, match="LPIPS is not here"), likeness.opened(Models("cpu")):
        pass
    from torchvision.models import alexnet

    torch.manual_seed(0)
    wide = (64, 192, 384, 256, 256)
    heads = {f"lin{stage}.model.1.weight": torch.rand(1, one, 1, 1) for stage, one in enumerate(wide)}
    lpips = likeness.Lpips(alexnet(weights=None).state_dict(), heads).eval().requires_grad_(False)
    with filling(runs, data, perceptual_weight=1.0) as recipe:
        recipe.lpips = lpips
        batch = recipe.feed.batch(0)
        terms = recipe.terms(batch, noised(recipe, batch))
        assert float(terms["perceptual"].detach()) > 0
        terms["perceptual"].backward()
        grown = [one.grad for one in recipe.learner.parameters("unet")]
        assert max(float(one.abs().max()) for one in grown if one is not None) > 0


def test_the_clean_latents_come_back_from_a_true_prediction(runs: Path, data: Path) -> None:
    with filling(runs, data) as recipe:
        batch = recipe.feed.batch(0)
        given = noised(recipe, batch)
        back = recipe.noising.clean(given.noisy, given.target, given.timesteps)
        assert torch.allclose(back, batch.latents, atol=1e-3)
