"""Control nets by name: which fits which base, what an own folder is, and what is said where one cannot be used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipelines.core import bases, nets, requests
from pipelines.core.errors import BadInput, Missing


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path))
    return tmp_path


def put(folder: Path, cls: str = "ControlNetModel", **config: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"_class_name": cls, "cross_attention_dim": 768, **config}))
    save_file({"weight": np.zeros(3, np.float32)}, folder / "diffusion_pytorch_model.safetensors")
    return folder


def test_the_shipped_ones_say_where_they_come_from() -> None:
    for name, net in nets.shipped().items():
        assert net.repo
        assert net.size_bytes
        assert net.family == nets.ANNOTATOR or net.kinds
        state = net.state()
        assert state.kind == "missing"
        assert state.remedy == f"python -m pipelines fetch {name}"
    assert requests.parse({"task": "fetch", "base": "sd15-depth"}).model_dump()["base"] == "sd15-depth"
    assert nets.shipped()["depth-anything"].folder.parent.name == "annotators"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("control_v11p_sd15_softedge", "hed"), ("my-depth", "depth"), ("x_normalbae", "normal"), ("canny2", "canny")],
)
def test_an_own_folder_says_by_its_name_what_it_reads(shelf: Path, name: str, kind: str) -> None:
    put(shelf / name)
    net = nets.get(name)
    assert net.kinds == (kind,)
    assert net.state().ready
    assert net.own
    assert nets.of(bases.get("sd15"), kind).name == name
    assert nets.of(bases.get("sd15-inpaint"), kind).name == name
    assert nets.kinds_of(bases.get("sd15"))[kind].name == name


def test_a_name_that_says_nothing_wants_a_line(shelf: Path) -> None:
    put(shelf / "mystery")
    assert 'kind = "depth"' in nets.get("mystery").state().text
    (shelf / "nets.toml").write_text('[mystery]\nkind = "lineart"\n')
    assert nets.get("mystery").kinds == ("lineart",)
    (shelf / "nets.toml").write_text('[mystery]\nkind = "smell"\n')
    assert "kind = 'smell'" in nets.load()["nets.toml"].state().text


def test_a_union_net_reads_several(shelf: Path) -> None:
    put(shelf / "union", "FluxControlNetModel", num_mode=7)
    (shelf / "nets.toml").write_text("[union.modes]\ncanny = 0\ndepth = 2\n")
    net = nets.get("union")
    assert net.kinds == ("canny", "depth")
    assert net.family == "flux"


@pytest.mark.parametrize(
    ("config", "base", "fits"),
    [
        ({}, "sd15", True),
        ({}, "sd15-inpaint", True),
        ({}, "sd2-inpaint", False),
        ({"cross_attention_dim": 1024}, "sd2-inpaint", True),
        ({}, "sdxl", False),
        ({"cross_attention_dim": 2048, "addition_embed_type": "text_time"}, "sdxl-inpaint", True),
    ],
)
def test_it_fits_what_it_was_made_for(shelf: Path, config: dict[str, Any], base: str, fits: bool) -> None:
    put(shelf / "a-depth", **config)
    assert nets.get("a-depth").fits(bases.get(base)) == fits


def test_what_is_missing_is_named(shelf: Path) -> None:
    with pytest.raises(Missing, match=r"sd15-softedge is not here, the control net for hed on sd15 .*fetch|lllyasviel"):
        nets.of(bases.get("sd15"), "hed")
    with pytest.raises(BadInput, match="no control net for mask fits base sd15"):
        nets.of(bases.get("sd15"), "mask")
    with pytest.raises(BadInput, match="no control net 'nobody'; there is"):
        nets.get("nobody")
    put(shelf / "half-depth")
    (shelf / "half-depth" / "diffusion_pytorch_model.safetensors").write_bytes(b"\x08")
    assert nets.get("half-depth").state().kind == "broken"
    put(shelf / "strange-depth", cross_attention_dim=None)
    assert "lacks cross_attention_dim" in nets.get("strange-depth").state().text


def test_an_own_one_goes_before_a_shipped_one(shelf: Path) -> None:
    put(shelf / "sd15-depth")
    (shelf / "sd15-depth" / "diffusion_pytorch_model.safetensors").rename(
        shelf / "sd15-depth" / "diffusion_pytorch_model.fp16.safetensors"
    )
    assert nets.of(bases.get("sd15"), "depth").name == "sd15-depth"
    put(shelf / "our-depth")
    assert nets.of(bases.get("sd15"), "depth").name == "our-depth"
