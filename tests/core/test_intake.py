"""From what was asked to what is put in line."""

import json
from pathlib import Path

import pytest

from pipelines.core import ids, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests import Inpaint
from tests import pictures

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
    with pytest.raises(BadInput, match="is no run id"):
        intake.from_web({"task": "export", "data": "/etc"}, assets)
    with pytest.raises(BadInput, match="output: over HTTP"):
        intake.from_web({"task": "export", "data": RUN, "output": "/tmp/x"}, assets)


def test_metadata_names_inputs_by_name_and_hash_and_leads_back(tmp_path: Path, assets: Assets) -> None:
    request = intake.from_paths(requests.parse(pictures.request(tmp_path)), assets)
    named = intake.named(request, assets)
    assert set(named["image"]) == {"name", "sha256"}
    assert str(tmp_path) not in json.dumps(named)
    assert requests.parse(named) == request
