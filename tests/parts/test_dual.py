"""Two branches in a tiny UNet of the real class: what they are at first, what sees what, and the files they come in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import adapters, dual, dual_files, dual_sampling, families
from pipelines.parts.dual import Branches, Shape, interleaved
from pipelines.parts.dual_files import About
from pipelines.parts.family import Family
from tests import tiny

BACKGROUND = Shape(4, background=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "tiny")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWSMITH_MODELS", str(folder))
        with families.opened("tiny", Models("cpu")) as found:
            yield found


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows(pairs: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(noisy, timesteps, text) of 2B rows."""
    times = torch.randint(0, 1000, (pairs,), generator=torch.Generator().manual_seed(seed))
    noisy, text = drawn(2 * pairs, 4, 16, 16, seed=seed), drawn(2 * pairs, 7, tiny.WIDTH, seed=seed + 1)
    return noisy, interleaved(times, times), text


@contextmanager
def stirred(base: Family, shape: Shape, seed: int = 5) -> Iterator[Branches]:
    """Branches in which nothing is zero."""
    with dual.on(base, shape, 0) as branches:
        draws = torch.Generator().manual_seed(seed)
        for one in branches.parameters():
            one.data += 0.2 * torch.randn(one.shape, generator=draws)
            one.requires_grad_(True)
        yield branches


def layer(base: Family, which: str = "attn1") -> Any:
    name = next(name for name in base.denoiser.attn_processors if f"{which}.processor" in name)
    return base.denoiser.get_submodule(name.removesuffix(".processor"))


@pytest.mark.parametrize("shape", [Shape(4), Shape(4, interaction_rank=3), BACKGROUND])
def test_at_first_each_branch_is_the_base(base: Family, shape: Shape) -> None:
    noisy, times, text = rows(2)
    with torch.no_grad():
        alone = base.predict(noisy, times, {"prompt_embeds": text})
        with dual.on(base, shape, 0):
            behind = dual.recorded(base, noisy[0::2], times[0::2], text[0::2]) if shape.background else None
            pairs = dual.predict(base, noisy, times, text, background=behind)
        after = base.predict(noisy, times, {"prompt_embeds": text})
    assert torch.allclose(pairs, alone, atol=1e-6)
    assert torch.equal(after, alone)


def test_as_published_it_is_another_base_from_the_first_step_on(base: Family) -> None:
    noisy, times, text = rows(1)
    with torch.no_grad():
        alone = base.predict(noisy, times, {"prompt_embeds": text})
        with dual.on(base, Shape(4, compat=True), 0):
            assert float((dual.predict(base, noisy, times, text) - alone).abs().max()) > 1e-3
            assert torch.allclose(dual.predict(base, noisy, times, text, "plain"), alone, atol=1e-6)


def test_the_attention_is_that_of_the_paper(base: Family) -> None:
    """Branch by branch, place by place, with torch's plainest words."""
    attention = layer(base)
    hidden = drawn(4, 9, attention.to_q.in_features)
    with stirred(base, Shape(4)), torch.no_grad():
        own = attention.processor
        found = attention(hidden, mode="dual")
        outs = []
        for branch in range(2):
            h = hidden[branch::2]

            def changed(which: str, linear: Any, values: Tensor, branch: int = branch) -> Tensor:
                change = own.changes[which][branch]
                return linear(values) + values @ change.down.weight.T @ change.up.weight.T

            q, k, v = (changed(which, getattr(attention, f"to_{which}"), h) for which in "qkv")
            heads = []
            for place in range(attention.heads):
                wide = q.shape[-1] // attention.heads
                cut = slice(place * wide, (place + 1) * wide)
                scores = (q[..., cut] @ k[..., cut].transpose(1, 2) / wide**0.5).softmax(-1)
                heads.append(scores @ v[..., cut])
            outs.append(changed("out", attention.to_out[0], torch.cat(heads, -1)))
        met = own.interaction
        for pair in range(2):
            for place in range(9):
                both = torch.stack([out[pair, place] for out in outs])
                z = met.input(met.norm(both))
                scores = (met.query(z) @ met.key(z).T / z.shape[-1] ** 0.5).softmax(-1)
                expected = both + met.output(scores @ met.value(z))
                assert torch.allclose(found[2 * pair : 2 * pair + 2, place], expected, atol=1e-5)


def test_branches_see_each_other_at_the_same_place_alone(base: Family) -> None:
    with stirred(base, Shape(4)):
        own = layer(base).processor.interaction
        given = drawn(3, 2, 9, own.norm.weight.shape[0]).requires_grad_(True)
        own(given)[1, 0, 4].sum().backward()
        assert given.grad is not None
        reached = given.grad.abs().sum(-1) > 0
    assert reached.nonzero().tolist() == [[1, 0, 4], [1, 1, 4]]


def test_a_pair_sees_no_other_pair(base: Family) -> None:
    noisy, times, text = rows(2)
    with stirred(base, Shape(4)), torch.no_grad():
        before = dual.predict(base, noisy, times, text)
        noisy[3] += 1
        after = dual.predict(base, noisy, times, text)
    assert torch.equal(before[:2], after[:2])
    assert not torch.equal(before[2], after[2])


def test_a_background_reaches_keys_and_values_of_the_whole_branch_alone(base: Family) -> None:
    attention, cross = layer(base), layer(base, "attn2")
    hidden = drawn(4, 9, attention.to_q.in_features)
    seen: dict[str, list[Tensor]] = {}
    with stirred(base, BACKGROUND), torch.no_grad():
        name = attention.processor.name
        for which in ("to_q", "to_k", "to_v"):
            linear = getattr(attention, which)
            seen[which] = []
            linear.register_forward_pre_hook(lambda module, given, kept=seen[which]: kept.append(given[0].clone()))
        for seed in (1, 2):
            attention(hidden, mode="dual", background={name: drawn(2, 9, hidden.shape[-1], seed=seed)})
        for which in ("to_q", "to_k", "to_v"):
            getattr(attention, which)._forward_pre_hooks.clear()
        assert cross.processor.background is None
    one, other = seen["to_q"]
    assert torch.equal(one, other)
    for which in ("to_k", "to_v"):
        one, other = seen[which]
        assert torch.equal(one[1::2], other[1::2])
        assert not torch.allclose(one[0::2], other[0::2])


def test_the_memory_saver_leaves_the_gradients_as_they_are(base: Family) -> None:
    noisy, times, text = rows(1)

    def gradients() -> list[Tensor]:
        with stirred(base, BACKGROUND) as branches:
            behind = dual.recorded(base, noisy[0::2], times[0::2], text[0::2])
            dual.predict(base, noisy, times, text, background=behind).square().mean().backward()
            return [torch.zeros(1) if one.grad is None else one.grad for one in branches.parameters()]

    plain = gradients()
    base.denoiser.enable_gradient_checkpointing()
    base.denoiser.train()
    try:
        saved = gradients()
    finally:
        base.denoiser.disable_gradient_checkpointing()
        base.denoiser.eval()
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(plain, saved, strict=True))
    assert sum(bool(one.abs().max() > 0) for one in plain) > 0.9 * len(plain)


def test_afterwards_the_base_has_its_own_processors(base: Family) -> None:
    before = dict(base.denoiser.attn_processors)
    keys = set(base.denoiser.state_dict())
    with dual.on(base, Shape(4), 0) as branches:
        with branches.aside():
            assert base.denoiser.attn_processors == before
            with branches.again():
                assert set(base.denoiser.attn_processors.values()) == set(branches.processors.values())
            assert base.denoiser.attn_processors == before
        assert base.denoiser.attn_processors != before
    with pytest.raises(BadInput, match="does not fit"), dual.on(base, Shape(4), 0) as branches:
        branches.load({}, "nothing")
    assert base.denoiser.attn_processors == before
    assert set(base.denoiser.state_dict()) == keys


def test_other_bases_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.stable_diffusion(tmp_path / "models/holes", in_channels=9)
    tiny.sdxl(tmp_path / "models/large")
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    for name in ("holes", "large"):
        with (
            families.opened(name, Models("cpu")) as other,
            pytest.raises(BadInput, match=f"base {name} has not the UNet of SD1 or SD2"),
            dual.on(other, Shape(4), 0),
        ):
            pass


# -- files


def published(base: Family, rank: int, *, background: bool, seed: int = 3) -> dict[str, Tensor]:
    """A file as DualAnoDiff's own code names its tensors, for this base."""
    draws = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return 0.2 * torch.randn(*shape, generator=draws)

    found = {}
    for name in base.denoiser.attn_processors:
        attention = base.denoiser.get_submodule(name.removesuffix(".processor"))
        wide, read = attention.to_q.in_features, attention.to_k.in_features
        stem = f"unet.{name}" + (".chained_proc" if background and "attn1" in name else "")
        for which, given in (("q", wide), ("k", read), ("v", read), ("out", wide)):
            for branch in range(2):
                found[f"{stem}.to_{which}_lora.{branch}.down.weight"] = some(rank, given)
                found[f"{stem}.to_{which}_lora.{branch}.up.weight"] = some(wide, rank)
        for letter in "inqkvo":
            found[f"{stem}.temporal_{letter}.weight"] = some(wide) if letter == "n" else some(wide, wide)
            found[f"{stem}.temporal_{letter}.bias"] = some(wide)
        if background:
            for number, (made, given) in enumerate(((320, wide), (wide, 320))):
                found[f"{stem}.temporal_condition_mlp.{number}.weight"] = some(made, given)
                found[f"{stem}.temporal_condition_mlp.{number}.bias"] = some(made)
            found[f"{stem}.temporal_a"] = some(1)
    for name, module in base.held["text_encoder"].named_modules():
        if name.endswith("self_attn"):
            stem = f"text_encoder.text_model.{name.removeprefix('text_model.')}"
            for which in ("q", "k", "v", "out"):
                found[f"{stem}.to_{which}_lora.down.weight"] = some(rank, module.out_proj.in_features)
                found[f"{stem}.to_{which}_lora.up.weight"] = some(module.out_proj.out_features, rank)
    return found


@contextmanager
def loaded(base: Family, model: dual_files.Model) -> Iterator[Branches]:
    with base.attached([adapters.Use(model.adapter)]), dual.on(base, model.shape, 0) as branches:
        branches.load(model.branches, model.name)
        yield branches


@pytest.mark.parametrize("ending", ["bin", "safetensors"])
@pytest.mark.parametrize("background", [False, True])
def test_a_published_file_is_read_and_ours_holds_the_same(
    base: Family, tmp_path: Path, background: bool, ending: str
) -> None:
    tensors = published(base, 4, background=background)
    path = tmp_path / f"pytorch_lora_weights.{ending}"
    save_file(tensors, path) if ending == "safetensors" else torch.save(tensors, path)
    model = dual_files.read(path)
    assert model.shape == Shape(4, None, background, compat=True)
    noisy, times, text = rows(1)

    def answered(model: dual_files.Model) -> tuple[Tensor, Tensor]:
        with loaded(base, model), torch.no_grad():
            behind = dual.recorded(base, noisy[0::2], times[0::2], text[0::2]) if background else None
            said = dual_sampling.said(base, "a vfx with sks", "sks").whole
            return dual.predict(base, noisy, times, text, background=behind), said

    with torch.no_grad():
        plain = dual_sampling.said(base, "a vfx with sks", "sks").whole
    first = answered(model)
    assert not torch.allclose(first[1], plain, atol=1e-3)
    # each of its numbers is where it belongs: the whole branch's query of the first self-attention, by hand
    attention = layer(base)
    with loaded(base, model), torch.no_grad():
        stem = f"unet.{attention.processor.name}.processor" + (".chained_proc" if background else "")
        hidden = drawn(2, 9, attention.to_q.in_features)
        own = attention.processor._changed("q", attention.to_q, hidden, "dual")
        down, up = (tensors[f"{stem}.to_q_lora.1.{half}.weight"] for half in ("down", "up"))
        assert torch.allclose(own[1], attention.to_q(hidden)[1] + hidden[1] @ down.T @ up.T, atol=1e-5)
        assert torch.equal(attention.processor.interaction.input.weight, tensors[f"{stem}.temporal_i.weight"])
        assert torch.equal(attention.processor.interaction.output.bias, tensors[f"{stem}.temporal_o.bias"])
    written, metadata = dual_files.spelled(
        model.branches, {dual_files.TEXT: model.text}, model.shape, About("tiny", "one", "two", "scratch", 32)
    )
    save_file({key: one.contiguous() for key, one in written.items()}, tmp_path / "dual.safetensors", metadata)
    again = dual_files.read(tmp_path / "dual.safetensors")
    assert again.about == About("tiny", "one", "two", "scratch", 32)
    assert again.shape == model.shape
    assert all(torch.equal(one, other) for one, other in zip(first, answered(again), strict=True))


def test_a_file_of_another_make_is_refused(base: Family, tmp_path: Path) -> None:
    def written(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
        save_file(dict(tensors), tmp_path / "model.safetensors", metadata)
        return tmp_path / "model.safetensors"

    whole = published(base, 4, background=False)
    lora = {"unet.down_blocks.0.attn1.to_q.lora_A.weight": torch.zeros(4, 8)}
    with pytest.raises(BadInput, match="holds no model of two branches"):
        dual_files.read(written(lora))
    with pytest.raises(BadInput, match="is of edition 9 of its format"):
        dual_files.read(written(whole, {dual_files.MARK: "9"}))
    with pytest.raises(BadInput, match="is no file of weights"):
        dual_files.read(tmp_path / "model.txt")
    half = {key: one for key, one in whole.items() if not key.endswith("q_proj_lora.up.weight")}
    half.pop(next(key for key in half if key.startswith("text_encoder") and "up" in key))
    with pytest.raises(BadInput, match="has half of the change of"):
        dual_files.read(written(half))
    model = dual_files.read(written({key: one for key, one in whole.items() if "temporal_o.bias" not in key}))
    with pytest.raises(BadInput, match=r"does not fit base tiny: .* find no counterpart"), loaded(base, model):
        pass
    wide = {
        key: torch.zeros(4, 99) if "attn2" in key and "to_k_lora.0.down" in key else one for key, one in whole.items()
    }
    model = dual_files.read(written(wide))
    with pytest.raises(BadInput, match="is 4x32 there and 4x99 in the file"), loaded(base, model):
        pass


# -- pairs


def asked(base: Family, *seeds: int, **more: Any) -> dual_sampling.Ask:
    said = dual_sampling.said(base, "a vfx with sks", "sks")
    told = {"size": (tiny.PX, tiny.PX), "steps": 2, "scale": 2.5, "said": said, **more}
    return dual_sampling.Ask(seeds=seeds, **told)


@pytest.mark.parametrize("scheduler", ["ddim", "euler-a"])
def test_each_pair_comes_out_as_it_would_alone(base: Family, scheduler: str) -> None:
    latents = {"backgrounds": drawn(2, 4, 16, 16), "blank": drawn(1, 4, 16, 16, seed=9)}
    with stirred(base, BACKGROUND):
        more: dict[str, Any] = {"scheduler": scheduler, "prompt_noise": 0.3}
        both = dual_sampling.sample(base, asked(base, 1, 2, **more, **latents), lambda step: None)
        own = {**latents, "backgrounds": latents["backgrounds"][1:]}
        alone = dual_sampling.sample(base, asked(base, 2, **more, **own), lambda step: None)
    assert both.shape == (2, 2, 3, tiny.PX, tiny.PX)
    assert torch.allclose(both[1], alone[0], atol=1e-4)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


def test_the_adapter_scale_goes_from_the_base_to_what_was_trained(base: Family) -> None:
    quiet = {"scheduler": "ddim"}
    with stirred(base, Shape(4)):
        plain = asked(base, 1).said

        def made(**more: Any) -> Tensor:
            return dual_sampling.sample(base, asked(base, 1, plain=plain, **quiet, **more), lambda step: None)

        none, trained, most = made(adapter_scale=0.0), made(), made(adapter_scale=1.0 + 1e-7)
    with dual.on(base, Shape(4), 0):
        untaught = dual_sampling.sample(base, asked(base, 1, **quiet), lambda step: None)
    assert torch.allclose(none, untaught, atol=1e-5)
    assert torch.allclose(trained, most, atol=1e-4)
    assert not torch.allclose(none, trained, atol=1e-2)


def test_shared_noise_begins_both_alike(base: Family) -> None:
    looks: list[Tensor] = []
    with dual.on(base, Shape(4), 0):
        said = dual_sampling.said(base, "sks", "sks")
        for shared in (True, False):
            ask = asked(base, 1, said=said, shared_noise=shared, steps=1)
            pair = dual_sampling.sample(base, ask, lambda step: looks.append(step.look()))[0]
            assert torch.allclose(pair[0], pair[1], atol=1e-5) == shared
    assert looks[0].shape == (3, 16, 32)


def test_the_names_in_our_files_stay(base: Family, tmp_path: Path) -> None:
    """Names of tensors stay: a file of today is read tomorrow."""
    with dual.on(base, Shape(4, 3, background=True), 0) as branches:
        tensors, metadata = dual_files.spelled(branches.tensors(), {}, Shape(4, 3, True), About(cut="defect"))
    save_file({key: one.contiguous() for key, one in tensors.items()}, tmp_path / "dual.safetensors", metadata)
    ends = {
        key.split(".processor.")[-1].split("attn1.")[-1]
        for key in load_file(tmp_path / "dual.safetensors")
        if "attn1" in key
    }
    assert {
        "changes.q.0.down.weight",
        "interaction.output.1.bias",
        "background.share",
        "background.first.weight",
    } <= ends
    assert dual_files.read(tmp_path / "dual.safetensors").shape == Shape(4, 3, True, compat=False)
