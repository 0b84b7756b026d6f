"""Control nets: as diffusers' own pipelines steer, each picture of a batch by itself, and not at all at strength 0."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.nets import Net
from pipelines.parts.control import Steer, opened, steered
from pipelines.parts.families import opened_source
from pipelines.parts.family import Family, Source
from pipelines.parts.sampling import Ask, in_cells, sample
from tests import tiny, tiny_flux

PX, STEPS = tiny.PX, 3
BUILT: dict[str, tuple[str, Any]] = {
    "sd": ("stable-diffusion", tiny.stable_diffusion),
    "sd-fill": ("stable-diffusion", lambda folder: tiny.stable_diffusion(folder, in_channels=9)),
    "sd2": ("stable-diffusion", lambda folder: tiny.stable_diffusion(folder, prediction="v_prediction")),
    "sdxl": ("sdxl", tiny.sdxl),
    "sd3": ("sd3", tiny.sd3),
    "flux": ("flux", tiny_flux.flux),
    "flux-fill": ("flux", lambda folder: tiny_flux.flux(folder, kind="fill")),
    "flux-kontext": ("flux", lambda folder: tiny_flux.flux(folder, kind="kontext")),
    "flux-schnell": ("flux", lambda folder: tiny_flux.flux(folder, kind="schnell")),
}
EACH = {
    "sd": ("text", "inpaint"),
    "sd-fill": ("inpaint",),
    "sd2": ("image",),
    "sdxl": ("inpaint",),
    "sd3": ("image", "inpaint"),
    "flux": ("text",),
    "flux-fill": ("inpaint",),
    "flux-kontext": ("edit",),
    "flux-schnell": ("text",),
}
"""Every base, and every task with some: what steers hangs on the denoiser, whatever asks it."""
THEIRS = {
    "sd": "StableDiffusionControlNetPipeline",
    "sd2": "StableDiffusionControlNetPipeline",
    "sdxl": "StableDiffusionXLControlNetPipeline",
    "sd3": "StableDiffusion3ControlNetPipeline",
    "flux": "FluxControlNetPipeline",
}
MULTI = {
    "sd3": lambda nets: diffusers.SD3MultiControlNetModel(nets),
    "flux": lambda nets: diffusers.FluxMultiControlNetModel(nets),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Family]]:
    with ExitStack() as stack:
        found = {}
        for name, (family, build) in BUILT.items():
            folder = build(tmp_path_factory.mktemp("bases") / name)
            found[name] = stack.enter_context(opened_source(Source(name, family, folder), Models("cpu")))
            _without_chance(found[name].vae)
        yield found


def _without_chance(vae: Any) -> None:
    """Latents that do not vary by chance: pipelines draw them, we take their middle."""
    half = vae.encoder.conv_out.out_channels // 2
    with torch.no_grad():
        vae.encoder.conv_out.weight[half:] = 0
        vae.encoder.conv_out.bias[half:] = -30
        if vae.quant_conv is not None:
            vae.quant_conv.weight[half:] = 0
            vae.quant_conv.bias[half:] = -30


def maps(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, PX, PX, generator=torch.Generator().manual_seed(seed))


def nets(base: Family, count: int = 3) -> list[Any]:
    more: dict[str, Any] = {"in_channels": 16} if base.name == "flux-fill" else {}
    return [tiny.control_net(base.denoiser, seed=seed, **more) for seed in range(count)]


def ask(base: Family, count: int, task: Any = "text", **more: Any) -> Ask:
    told = {"prompts": ["a scratch", "a deep dent"][:count], "seeds": [3, 14][:count], "size": (PX, PX)}
    told |= {"scales": [1.0 if base.guides in ("told", "not") else 4.0] * count, "steps": STEPS}
    if task != "text":
        told |= {"images": maps(count, 7)}
    if task == "inpaint":
        told |= {"masks": tiny_flux.masks(4)[4 - count :]}
    return Ask(task=task, **{**told, **more})


def made(base: Family, wanted: Ask) -> Tensor:
    return sample(base, wanted, lambda step: None)


@pytest.mark.parametrize("name", list(THEIRS))
def test_three_nets_at_once_are_diffusers_own(bases: dict[str, Family], name: str) -> None:
    base, three = bases[name], nets(bases[name])
    shown, scales, when = [maps(1, seed) for seed in range(3)], [0.8, 0.4, 1.1], ([0.0, 0.0, 0.4], [1.0, 0.7, 1.0])
    steers = [
        Steer(net, map, [scale], start, end)
        for net, map, scale, start, end in zip(three, shown, scales, *when, strict=True)
    ]
    scale = 3.5 if base.guides == "told" else 4.0
    ours = made(base, ask(base, 1, scales=[scale], steers=steers, scheduler=base.usual_scheduler))
    cls = getattr(diffusers, THEIRS[name])
    pipe = cls(
        scheduler=base.pipeline("text").scheduler,
        controlnet=MULTI.get(name, lambda some: some)(three),
        **base.components(),
    )
    pipe.set_progress_bar_config(disable=True)
    told: dict[str, Any] = {"image": shown}
    if name in ("sd3", "flux"):  # tensors pass there as they are, and pictures are latents of [-1, 1]
        told = {"control_image": [2 * one - 1 for one in shown]}
    if name == "flux":  # its pipeline draws for the maps first, though nothing of them is chance here
        drawn = torch.randn(1, tiny_flux.LATENTS, PX // 2, PX // 2, generator=torch.Generator().manual_seed(3))
        told |= {"latents": base.repacked(drawn), "control_mode": [None, None, None]}
    theirs = pipe(
        **base.text_arguments(["a scratch"], [""], 0),
        **told,
        controlnet_conditioning_scale=scales,
        control_guidance_start=when[0],
        control_guidance_end=when[1],
        guidance_scale=scale,
        num_inference_steps=STEPS,
        height=PX,
        width=PX,
        generator=torch.Generator().manual_seed(3),
        output_type="pt",
    ).images
    assert (ours - theirs).abs().max() < 2e-4
    assert (ours - made(base, ask(base, 1, scales=[scale]))).abs().max() > 1e-2


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, tasks in EACH.items() for task in tasks])
def test_a_picture_is_steered_in_a_batch_as_alone(bases: dict[str, Family], name: str, task: Any) -> None:
    base, two = bases[name], nets(bases[name], 2)
    steers = [Steer(two[0], maps(2, 1), [0.3, 1.2]), Steer(two[1], maps(2, 2), [1.0, 0.0], 0.3, 1.0)]
    wanted = ask(base, 2, task, steers=steers)
    together = made(base, wanted)
    alone = torch.cat([made(base, wanted.one(place)) for place in range(2)])
    assert (together - alone).abs().max() < 2e-4
    bare = made(base, replace(wanted, steers=()))
    assert ((together - bare).abs().amax((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3", "flux"])
def test_strength_0_is_no_net_and_costs_no_call(bases: dict[str, Family], name: str) -> None:
    base, (net,) = bases[name], nets(bases[name], 1)
    calls: list[int] = []
    net.register_forward_hook(lambda *_: calls.append(1))
    bare = made(base, ask(base, 1))
    assert torch.equal(bare, made(base, ask(base, 1, steers=[Steer(net, maps(1), [0.0])])))
    assert not calls
    assert not torch.equal(bare, made(base, ask(base, 1, steers=[Steer(net, maps(1), [1.0])])))
    assert len(calls) == STEPS


@pytest.mark.parametrize(
    ("start", "end", "steps"), [(0.0, 0.5, [0]), (0.5, 1.0, [2]), (0.3, 0.7, [1]), (0.0, 1.0, [0, 1, 2])]
)
def test_start_and_end_are_honoured(bases: dict[str, Family], start: float, end: float, steps: list[int]) -> None:
    base, (net,) = bases["sd"], nets(bases["sd"], 1)
    asked: list[int] = []
    taken: list[int] = []
    net.register_forward_hook(lambda *_: asked.append(len(taken)))
    sample(base, ask(base, 1, steers=[Steer(net, maps(1), [1.0], start, end)]), lambda step: taken.append(step.done))
    assert asked == steps


def test_a_second_call_of_a_step_counts_once(bases: dict[str, Family]) -> None:
    """schnell is guided by two calls a step."""
    base, (net,) = bases["flux-schnell"], nets(bases["flux-schnell"], 1)
    asked: list[int] = []
    net.register_forward_hook(lambda *_: asked.append(1))
    made(base, ask(base, 1, scales=[3.0], steers=[Steer(net, maps(1), [1.0], 0.0, 0.4)]))
    assert len(asked) == 2


@pytest.mark.parametrize("name", ["sd", "sd-fill", "sd3", "flux-fill"])
def test_around_the_mask_the_latents_stay(bases: dict[str, Family], name: str) -> None:
    base, (net,) = bases[name], nets(bases[name], 1)
    wanted = ask(base, 1, "inpaint", steers=[Steer(net, maps(1), [1.5])])
    seen: list[Tensor] = []
    sample(base, wanted, lambda step: seen.append(step.look()))
    assert wanted.masks is not None
    inside = in_cells(wanted.masks, base.side_px)[0, 0]
    bare: list[Tensor] = []
    sample(base, replace(wanted, steers=()), lambda step: bare.append(step.look()))
    off = torch.nn.functional.interpolate((seen[-1] - bare[-1]).abs().amax(0)[None, None], inside.shape)[0, 0]
    assert off[~inside].max() < 1e-5
    assert off[inside].max() > 1e-3


def test_a_union_net_is_told_which_map_it_reads(bases: dict[str, Family]) -> None:
    base = bases["sdxl"]
    union = _union(base)
    each = [made(base, ask(base, 1, steers=[Steer(union, maps(1), [1.0], mode=mode)])) for mode in (0, 3)]
    assert (each[0] - each[1]).abs().max() > 1e-4
    flux = bases["flux"]
    several = tiny.control_net(flux.denoiser, num_mode=4)
    each = [made(flux, ask(flux, 1, steers=[Steer(several, maps(1), [1.0], mode=mode)])) for mode in (0, 3)]
    assert (each[0] - each[1]).abs().max() > 1e-4


def _union(base: Family) -> Any:
    names = (
        "down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim", "attention_head_dim",
        "use_linear_projection", "addition_embed_type", "addition_time_embed_dim",
        "projection_class_embeddings_input_dim", "transformer_layers_per_block",
    )  # fmt: skip
    own = {name: base.denoiser.config[name] for name in names}
    torch.manual_seed(0)
    made = diffusers.ControlNetUnionModel(
        **own, conditioning_embedding_out_channels=(16, 32), num_trans_channel=32, num_proj_channel=32
    )
    with torch.no_grad():
        for one in made.parameters():
            one.normal_(0, 0.1)
    return made.eval()


def test_an_error_leaves_the_denoiser_as_it_was(bases: dict[str, Family]) -> None:
    base, (net,) = bases["sd"], nets(bases["sd"], 1)
    with pytest.raises(ZeroDivisionError), steered(base, [Steer(net, maps(1), [1.0])], lambda: STEPS):
        raise ZeroDivisionError
    assert not base.denoiser._forward_pre_hooks


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path))
    return tmp_path


def test_a_net_is_opened_by_name_and_held_once(bases: dict[str, Family], shelf: Path) -> None:
    nets(bases["sd"], 1)[0].save_pretrained(shelf / "own-depth")
    net = Net(name="own-depth", label="own", licence="own", family="stable-diffusion", kind="depth", own=True)
    models = Models("cpu")
    with opened(net, bases["sd"], models) as first, opened(net, bases["sd"], models) as second:
        assert first is second
        assert not any(one.requires_grad for one in first.parameters())
    assert [row["key"]["part"] for row in models.report()] == ["controlnet"]


def test_a_net_for_another_base_is_refused(bases: dict[str, Family], shelf: Path) -> None:
    tiny.control_net(tiny.unet(cross_attention_dim=64)).save_pretrained(shelf / "wide-depth")
    net = Net(name="wide-depth", label="own", licence="own", family="stable-diffusion", kind="depth", own=True)
    with (
        pytest.raises(BadInput, match=r"wide-depth does not fit base sd: its cross_attention_dim is 64 .* base 32"),
        opened(net, bases["sd"], Models("cpu")),
    ):
        pass


def test_a_broken_file_is_named(bases: dict[str, Family], shelf: Path) -> None:
    nets(bases["sd"], 1)[0].save_pretrained(shelf / "own-depth")
    file = shelf / "own-depth" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    net = Net(name="own-depth", label="own", licence="own", family="stable-diffusion", kind="depth", own=True)
    with (
        pytest.raises(BadInput, match=r"own-depth cannot be used: its file diffusion_pytorch"),
        opened(net, bases["sd"], Models("cpu")),
    ):
        pass


def test_flux2_is_steered_by_none(tmp_path: Path) -> None:
    folder = tiny_flux.flux2(tmp_path / "flux2", kind="klein")
    with opened_source(Source("flux2", "flux2", folder), Models("cpu")) as base:
        steer = Steer(None, maps(1), [1.0])
        with pytest.raises(BadInput, match="steered by no control net"):
            made(base, ask(base, 1, steers=[steer]))
