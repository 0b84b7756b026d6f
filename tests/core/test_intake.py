"""From what was asked to what is put in line."""

import json
from pathlib import Path

import pytest

from pipelines.core import ids, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.library import Library
from pipelines.core.requests import Inpaint
from tests import adapters, pictures

RUN = "20260101-000000-abcdef"


@pytest.fixture
def assets(runs: Path) -> Assets:
    return Assets(runs)


def test_paths_become_assets_and_stay_them(tmp_path: Path, assets: Assets) -> None:
    request = intake.from_paths(requests.parse(pictures.request(tmp_path)), assets)
    assert isinstance(request, Inpaint)
    assert ids.ASSET.fullmatch(request.image)
    assert intake.from_paths(request, assets) == request


def test_over_http_and_from_a_path_it_is_the_same_request(tmp_path: Path, assets: Assets) -> None:
    table = pictures.request(tmp_path)
    uploaded = {key: assets.put(Path(table[key]).read_bytes(), Path(table[key]).name).id for key in ("image", "mask")}
    assert intake.from_web({**table, **uploaded}, assets) == intake.from_paths(requests.parse(table), assets)


def test_a_path_over_http_is_refused(tmp_path: Path, assets: Assets) -> None:
    with pytest.raises(BadInput, match=r"image: .* is no asset id; upload the file first"):
        intake.from_web(pictures.request(tmp_path), assets)


def test_a_missing_file_is_named_with_its_field(assets: Assets) -> None:
    with pytest.raises(BadInput, match=r"image: there is no file gone\.png"):
        intake.from_paths(requests.parse({**Inpaint.skeleton, "task": "inpaint", "image": "gone.png"}), assets)


def test_an_unknown_asset_is_missing(assets: Assets) -> None:
    asset = "asset-" + "0" * 20
    with pytest.raises(Missing, match=asset):
        intake.from_web({"task": "inpaint", "image": asset, "mask": asset, "defect": "hole"}, assets)


def test_a_finished_picture_can_be_the_next_source(tmp_path: Path, runs: Path, assets: Assets) -> None:
    table = pictures.request(tmp_path)
    (runs / RUN / "images").mkdir(parents=True)
    (runs / RUN / "images" / "00000.png").write_bytes(Path(table["image"]).read_bytes())
    mask = assets.put(Path(table["mask"]), "mask.png").id
    request = intake.from_web({**table, "image": f"{RUN}/images/00000.png", "mask": mask}, assets)
    assert isinstance(request, Inpaint)
    assert assets.get(request.image).name == "00000.png"
    with pytest.raises(BadInput):
        intake.from_web({**table, "image": f"{RUN}/../../part.png", "mask": mask}, assets)


def test_an_export_over_http_names_runs_and_writes_at_home(assets: Assets) -> None:
    with pytest.raises(BadInput, match="is no run and no project"):
        intake.from_web({"task": "export", "data": "/etc"}, assets)
    with pytest.raises(BadInput, match="output: over HTTP"):
        intake.from_web({"task": "export", "data": RUN, "output": "/tmp/x"}, assets)


def test_metadata_names_inputs_by_name_and_hash_and_leads_back(tmp_path: Path, assets: Assets) -> None:
    request = intake.from_paths(requests.parse(pictures.request(tmp_path)), assets)
    named = intake.named(request, assets)
    assert set(named["image"]) == {"name", "sha256"}
    assert str(tmp_path) not in json.dumps(named)
    assert requests.parse(named) == request


# -- adapters


def with_adapter(tmp_path: Path, value: str, **more: object) -> Inpaint:
    table = {**pictures.request(tmp_path), "adapters": [{"path": value, "weight": 0.5}], **more}
    found = requests.parse(table)
    assert isinstance(found, Inpaint)
    return found


def trained(runs: Path) -> Path:
    """A finished run with an adapter in it."""
    weights = runs / RUN / "weights" / "pytorch_lora_weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(adapters.written(adapters.LORA))
    (runs / RUN / "result.json").write_text("{}")
    return weights


def test_an_adapter_by_library_asset_run_or_file_is_the_same_asset(tmp_path: Path, runs: Path, assets: Assets) -> None:
    path = trained(runs)
    asset = assets.put(path, path.name)
    entry = Library(runs).add(asset)
    for value in (str(path), asset.id, entry.id, RUN):
        found = intake.from_paths(with_adapter(tmp_path, value), assets)
        assert isinstance(found, Inpaint)
        assert [(one.path, one.weight) for one in found.adapters] == [(asset.id, 0.5)]
    table = with_adapter(tmp_path, entry.id).model_dump(mode="json")
    for key in ("image", "mask"):
        table[key] = assets.put(Path(table[key]), "part.png").id
    for value in (asset.id, entry.id, RUN):
        table["adapters"][0]["path"] = value
        found = intake.from_web(table, assets)
        assert isinstance(found, Inpaint)
        assert found.adapters[0].path == asset.id


def test_an_adapter_that_cannot_be_had_is_refused_before_it_waits(tmp_path: Path, runs: Path, assets: Assets) -> None:
    with pytest.raises(BadInput, match=r"adapters\.0\.path: there is no file gone"):
        intake.from_paths(with_adapter(tmp_path, "gone.safetensors"), assets)
    trained(runs)
    (runs / RUN / "result.json").unlink()
    with pytest.raises(Missing, match="is not finished"):
        intake.from_paths(with_adapter(tmp_path, RUN), assets)
    picture = str(with_adapter(tmp_path, RUN).image)
    with pytest.raises(BadInput, match="is no adapter file"):
        intake.from_paths(with_adapter(tmp_path, picture), assets)


def test_adapters_named_in_prompts_join_the_others(tmp_path: Path, runs: Path, assets: Assets) -> None:
    entry = Library(runs).add(assets.put(trained(runs), "moss.safetensors"), "Moss")
    request = with_adapter(tmp_path, RUN, prompt="wet <lora:moss:0.8> rust")
    asked = request.model_dump(mode="json") | {
        "mask": None,
        "defect": None,
        "regions": [
            {"mask": pictures.request(tmp_path)["mask"], "defect": "hole", "prompt": f"<lora:{entry.id}> pit"},
            {"mask": pictures.request(tmp_path)["mask"], "defect": "hole", "prompt": "plain"},
        ],
    }
    found = intake.from_paths(requests.parse(asked), assets)
    assert isinstance(found, Inpaint)
    assert found.prompt == "wet rust"
    assert [one.prompt for one in found.regions] == ["pit", "plain"]
    assert [one.weight for one in found.adapters] == [0.5, 0.8, 1.0]
    assert {one.path for one in found.adapters[1:]} == {entry.asset}


def test_a_name_the_library_has_not_is_refused_with_those_it_has(tmp_path: Path, runs: Path, assets: Assets) -> None:
    Library(runs).add(assets.put(trained(runs), "moss.safetensors"), "Moss")
    with pytest.raises(BadInput, match="names an adapter 'rust' that the library has not; it has Moss"):
        intake.from_paths(with_adapter(tmp_path, RUN, prompt="<lora:rust:0.8> spot"), assets)
    with pytest.raises(BadInput, match=r"adapters\.1\.weight = 9"):
        intake.from_paths(with_adapter(tmp_path, RUN, prompt="<lora:moss:9> spot"), assets)
