"""A base larger than the device: its parts rest in main memory, come to the device in turn, and make the same picture.

`cpu:0` stands for a GPU: to torch it is the same memory, to us another place than `cpu`.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.core.device import Device
from pipelines.core.models import Key, Models, NoRoom
from pipelines.parts import families, ladder
from pipelines.parts.adapter_files import Adapter, Layer
from pipelines.parts.adapters import Use
from pipelines.parts.families import in_turn, opened_source
from pipelines.parts.family import Family, Source
from pipelines.parts.ladder import OutOfMemory
from pipelines.parts.sampling import Ask, Step, sample
from tests import tiny, tiny_flux

BASES: dict[str, tuple[str, Any]] = {
    "sd15": ("stable-diffusion", tiny.stable_diffusion),
    "sdxl": ("sdxl", tiny.sdxl),
    "sd3": ("sd3", tiny.sd3),
    "flux": ("flux", tiny_flux.flux),
}
GIB = 2**30


def pretended(budget_bytes: int | None = None) -> Models:
    """A registry on a device that is not main memory."""
    models = Models("cpu", budget_bytes)
    models._device = Device("cpu:0", "float32", "a test", 16 * GIB)
    return models


def nothing(step: Step) -> None:
    """On to the next step."""


def asked(side: int) -> Ask:
    image, mask = torch.rand(1, 3, side, side), torch.zeros(1, 1, side, side, dtype=torch.bool)
    mask[..., 8:20, 8:20] = True
    return Ask("inpaint", ["a scratch"], [3], (side, side), 2, [1.0], images=image, masks=mask, strength=0.9)


@pytest.mark.parametrize("name", BASES)
def test_at_rest_it_makes_the_same_picture(tmp_path: Path, name: str) -> None:
    family, build = BASES[name]
    build(tmp_path / name)
    source, models, ask = Source(name, family, tmp_path / name), pretended(), asked(64)
    with opened_source(source, models) as base:
        usual = sample(base, ask, nothing)
        assert models.held_bytes > 0
    models.release_all()
    with opened_source(source, models, rests=True) as base:
        assert torch.equal(sample(base, ask, nothing), usual)
        assert {row["key"]["device"] for row in models.report()} == {"cpu"}
        assert models.held_bytes == 0
        assert base.device == torch.device("cpu:0")
        parts = list(base.held.values())
        assert all(hasattr(part, "_hf_hook") for part in parts)
    assert not any(hasattr(part, "_hf_hook") for part in parts)
    assert not any(row["pinned"] for row in models.report())


def test_parts_come_in_the_order_they_are_called_and_go_when_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.hooks import CpuOffload, UserCpuOffloadHook

    tiny.stable_diffusion(tmp_path / "sd15")
    moves: list[tuple[str, str]] = []
    come, go = CpuOffload.pre_forward, UserCpuOffloadHook.offload

    def coming(self: Any, module: Any, *given: Any, **named: Any) -> Any:
        moves.append(("comes", type(module).__name__))
        return come(self, module, *given, **named)

    def going(self: Any) -> None:
        moves.append(("goes", type(self.model).__name__))
        go(self)

    monkeypatch.setattr(CpuOffload, "pre_forward", coming)
    monkeypatch.setattr(UserCpuOffloadHook, "offload", going)
    with opened_source(Source("sd15", "stable-diffusion", tmp_path / "sd15"), pretended(), rests=True) as base:
        assert [type(one).__name__ for one in in_turn(base.held, type(base))] == [
            "CLIPTextModel",
            "UNet2DConditionModel",
            "AutoencoderKL",
        ]
        sample(base, Ask("text", ["a scratch"], [3], (64, 64), 2, [1.0]), nothing)
    assert moves[0] == ("comes", "CLIPTextModel")
    assert ("comes", "UNet2DConditionModel") in moves
    assert moves[-3:] == [("goes", name) for name in ("CLIPTextModel", "UNet2DConditionModel", "AutoencoderKL")]


def test_only_a_large_picture_goes_through_the_autoencoder_in_tiles(tmp_path: Path) -> None:
    tiny.stable_diffusion(tmp_path / "sd15")
    source, models = Source("sd15", "stable-diffusion", tmp_path / "sd15"), pretended()
    for rests, side in ((False, 1024), (True, 512)):
        with opened_source(source, models, rests=rests) as base:
            tiled: list[int] = []
            own = base.vae.tiled_decode
            base.vae.tiled_decode = lambda z, own=own, tiled=tiled, **more: (tiled.append(z.shape[-1]), own(z, **more))[
                1
            ]
            for px in (256, side, side + 64):
                cells = px // base.cell_px
                made = base.decode(torch.zeros(1, base.vae.config.latent_channels, 8, cells))
                assert made.shape[-1] == px
            assert tiled == [(side + 64) // base.cell_px]
            del base.vae.tiled_decode


def test_an_adapter_acts_on_a_base_at_rest(tmp_path: Path) -> None:
    tiny.stable_diffusion(tmp_path / "sd15")
    ask = Ask("text", ["a scratch"], [3], (64, 64), 2, [1.0])
    with opened_source(Source("sd15", "stable-diffusion", tmp_path / "sd15"), pretended(), rests=True) as base:
        before = sample(base, ask, nothing)
        layers = {
            name: Layer(0.3 * torch.randn(2, module.weight.shape[1]), 0.3 * torch.randn(module.weight.shape[0], 2), 2.0)
            for name, module in base.denoiser.named_modules()
            if name.endswith("to_q")
        }
        with base.attached([Use(Adapter("own", "dotted", {"unet": layers}), 0.8)]):
            assert (sample(base, ask, nothing) - before).abs().max() > 1e-4
        assert torch.equal(sample(base, ask, nothing), before)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.stable_diffusion(tmp_path / "plain")
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("shelf")
def test_work_that_ran_out_of_memory_goes_on_with_a_base_at_rest() -> None:
    models, seen = pretended(), list[str]()

    def work(base: Family) -> None:
        seen.append(models.report()[0]["key"]["device"])
        if len(seen) == 1:
            raise OutOfMemory("a window does not fit")

    ladder.with_base("plain", models, work)
    assert seen == ["cpu:0", "cpu"]
    assert models.held_bytes == 0


@pytest.mark.usefixtures("shelf")
def test_a_base_over_the_budget_is_opened_at_rest() -> None:
    models, seen = pretended(budget_bytes=4096), list[str]()
    ladder.with_base("plain", models, lambda base: seen.append(models.report()[0]["key"]["device"]))
    assert seen == ["cpu"]


@pytest.mark.usefixtures("shelf")
def test_what_does_not_even_fit_at_rest_is_said() -> None:
    def work(base: Family) -> None:
        raise OutOfMemory("a window does not fit")

    models = pretended()
    with pytest.raises(OutOfMemory, match="a window does not fit"):
        ladder.with_base("plain", models, work)
    assert not any(row["pinned"] for row in models.report())


@pytest.mark.usefixtures("shelf")
def test_on_the_cpu_there_is_nowhere_else_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = list[bool]()
    own = families.opened

    def counted(*given: Any, **named: Any) -> Any:
        opened.append(True)
        return own(*given, **named)

    monkeypatch.setattr(families, "opened", counted)
    with pytest.raises(NoRoom, match="needs"):
        ladder.with_base("plain", Models("cpu", 4096), lambda base: None)
    assert opened == [True]


def test_what_rests_takes_nothing_of_the_devices_budget() -> None:
    models = pretended(budget_bytes=100 * 1024)
    home, rest = Key("b", "unet", "float32", "cpu:0"), Key("b", "unet", "float32", "cpu")
    with models.use(home, lambda: torch.nn.Linear(256, 90, bias=False)):
        with models.use(rest, lambda: torch.nn.Linear(256, 500, bias=False)):
            assert models.held_bytes == 90 * 1024
        assert models.limit(1024) == 0
    assert models.limit(1024) == 90 * 1024
    assert [row["key"]["device"] for row in models.report()] == ["cpu"]
