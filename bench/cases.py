"""The cases of each suite: what is timed against what, and the proof that both did the same. Does not time.

A case is a function of an empty folder that may do slow preparations; what it returns is timed.
"""

import http.client
import io
import json
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench import diffusion, kohya, shards, training
from bench.harness import ROOT, Case, Gate
from pipelines.core import images, kinds, requests, shapes
from pipelines.core.assets import Assets
from pipelines.core.intake import from_paths
from pipelines.parts import defects, surfaces
from pipelines.worker import Worker

UP_S = 60.0


def defect(kind: str, folder: Path) -> Case:
    """One defect of this kind on a whole picture of 1024 px, along a stroke through most of it."""
    side = 1024
    picture = surfaces.make("rolled", seed=3, size=(side, side)).image
    stroke = [(0.2 * side, 0.3 * side), (0.5 * side, 0.55 * side), (0.8 * side, 0.6 * side)]
    mask = shapes.draw("line", (side, side), stroke, width_px=side / 8, seed=1)

    def ours() -> defects.Drawing:
        return defects.draw(picture, mask, kind, severity=0.7, seed=5)

    def check() -> None:
        drawing = ours()
        assert drawing.mask.any(), f"{kind} drew nothing"
        assert not (drawing.mask & ~mask).any(), f"{kind} left its mask"
        assert np.array_equal(drawing.image[~mask], picture[~mask]), f"{kind} changed the picture outside its mask"

    return Case(f"defect 1024 px: {kind}", ours, check, Gate("seconds", 0.3))


def png(folder: Path) -> Case:
    """A finished picture of 1024 px as PNG bytes, against Pillow's default."""
    pixels = _photograph(1024)

    def peer() -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    def check() -> None:
        ours, theirs = images.encode_png(pixels), peer()
        assert np.array_equal(images.decode(ours, "ours.png").pixels, pixels)
        assert np.array_equal(images.decode(theirs, "peer.png").pixels, pixels)

    return Case("PNG 1024 px", lambda: images.encode_png(pixels), check, Gate("faster", 3.0), peer=peer)


def photograph(folder: Path) -> Case:
    """A defect on a photograph of 4096 px by a warm worker: from the request in line to the files written."""
    side = 4096
    pixels = _photograph(side)
    cv2.imwrite(str(folder / "part.jpg"), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    mask = shapes.draw("line", (side, side), [(1500, 1700), (2100, 1900)], width_px=60, seed=1)
    images.write_png(folder / "mask.png", mask)
    fields = {"image": str(folder / "part.jpg"), "mask": str(folder / "mask.png"), "defect": "scratch", "seed": 5}
    answer = answering(folder / "runs")
    made: list[Path] = []

    def ours() -> None:
        made.append(answer({"task": "inpaint", **fields}))

    def check() -> None:
        before = images.read(folder / "part.jpg").pixels
        after = images.read(made[-1] / "images/00000.png").pixels
        changed = images.read_mask(made[-1] / "masks/00000.png")
        assert changed.any()
        assert np.array_equal(after[~changed], before[~changed])

    return Case("photograph 4096 px, warm worker", ours, check, Gate("seconds", 3.0), clock="wall")


def export(folder: Path) -> Case:
    """A run of 1,000 pictures as a ZIP, against the loop one would write: Pillow opens and saves, zipfile deflates."""
    count, side = 1000, 256
    images.write_png(folder / "part.png", _photograph(side))
    mask = shapes.draw("line", (side, side), [(60, 80), (190, 160)], width_px=24, seed=1)
    images.write_png(folder / "mask.png", mask)
    fields = {"image": str(folder / "part.png"), "mask": str(folder / "mask.png"), "defect": "scratch"}
    answer = answering(folder / "runs")
    run = answer({"task": "inpaint", "num_images": count, **fields})
    zips = {"ours": folder / "ours.zip", "peer": folder / "peer.zip"}

    def ours() -> None:
        answer({"task": "export", "data": run.name, "format": "folder", "output": str(zips["ours"])})

    def peer() -> None:
        with zipfile.ZipFile(zips["peer"], "w", zipfile.ZIP_DEFLATED) as archive:
            for place in ("images", "masks"):
                for path in sorted((run / place).glob("?????.png")):
                    buffer = io.BytesIO()
                    Image.open(path).save(buffer, "PNG")
                    archive.writestr(f"{place}/{path.name}", buffer.getvalue())

    def pictures(path: Path) -> list[bytes]:
        """The pixels of every defect picture in an archive, sorted, whatever the files are called."""
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".png")]
            decoded = (np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names)
            return sorted(pixels.tobytes() for pixels in decoded)

    def check() -> None:
        theirs, mine = set(pictures(zips["peer"])), set(pictures(zips["ours"]))
        assert len(theirs) > count, "the run's pictures are not all different"
        assert theirs <= mine, "the export lacks pictures or masks of the run"

    def tidy() -> None:
        zips["ours"].unlink()

    return Case("export 1,000 pictures", ours, check, Gate("faster", 4.0), peer=peer, tidy=tidy)


def sharded(folder: Path) -> Case:
    """A run of 2,000 small pictures, with the 1,000 they were made from, as webdataset shards in a folder."""
    run, count = shards.made(folder / "runs", 2000), 2000
    answer, place = answering(folder / "runs"), folder / "set"

    def ours() -> None:
        answer({"task": "export", "data": run.name, "format": "webdataset", "shard_size": 500, "output": str(place)})

    def check() -> None:
        ours()
        listed = json.loads((place / "shards.json").read_text())["shards"]
        assert sum(shard["samples"] for shard in listed) == count + shards.SOURCES
        tidy()

    def tidy() -> None:
        shutil.rmtree(place, ignore_errors=True)

    return Case("shards of 2,000 pictures", ours, check, Gate("seconds", 15.0), tidy=tidy)


def page(folder: Path) -> Case:
    """`python app.py` until it says it is healthy and answers with the page, against `import gradio` alone."""
    answers: list[bytes] = []
    started: list[subprocess.Popen[bytes]] = []

    def ours() -> None:
        port = _free_port()
        command = [sys.executable, "app.py", "--port", str(port), "--runs", str(folder / "runs"), "--no-browser"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        _get(port, "/healthz", process)
        answers.append(_get(port, "/", process))

    def end() -> None:
        while started:
            process = started.pop()
            process.terminate()
            process.wait(UP_S)

    def peer() -> None:
        subprocess.run([sys.executable, "-c", "import gradio"], cwd=ROOT, check=True)

    def check() -> None:
        assert b"gradio" in answers[-1], "what answers is not the page"

    return Case("page up", ours, check, Gate("slower", 1.5), peer=peer, clock="wall", tidy=end)


def _photograph(side: int) -> np.ndarray:
    """uint8 RGB side x side with the grain of a camera, which is what makes real photographs dear to encode."""
    tile = min(side, 1024)
    surface = surfaces.make("cast", seed=1, size=(tile, tile)).image
    whole = np.tile(surface, (side // tile, side // tile, 1))
    grain = np.random.default_rng(0).normal(0, 0.01, whole.shape)
    return (np.clip(whole + grain, 0, 1) * 255).round().astype(np.uint8)


def answering(runs: Path, device: str = "cpu") -> Callable[[dict[str, object]], Path]:
    """A worker of this process; what is returned answers a request and gives the run's folder."""
    worker = Worker(runs, device, ())
    assets = Assets(runs)

    def answer(data: dict[str, object]) -> Path:
        request = from_paths(requests.parse(data), assets)
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
        if row.state != "done":
            raise RuntimeError(f"{row.task} ended as {row.state}: {row.sentence}")
        return runs / row.id

    return answer


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def _get(port: int, path: str, process: "subprocess.Popen[bytes]") -> bytes:
    """Ask until the answer is 200."""
    until = time.monotonic() + UP_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"app.py ended with {process.returncode} before {path} answered")
        with suppress(ConnectionError):  # nobody listens yet
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=UP_S)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if answer.status == 200:
                return body
        time.sleep(0.02)
    raise RuntimeError(f"{path} did not answer within {UP_S:g} s")


def cpu() -> dict[str, Callable[[Path], Case]]:
    """What a machine without a GPU must keep."""
    drawn = {f"defect-{kind}": partial(defect, kind) for kind in kinds.load()}
    return {
        **drawn,
        "png": png,
        "photograph": photograph,
        "export": export,
        "shards": sharded,
        "page": page,
        **diffusion.CPU,
        **training.CPU,
    }


def gpu() -> dict[str, Callable[[Path], Case]]:
    """What a machine with a CUDA device must keep."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("the suite gpu needs a CUDA device, and torch finds none here")
    return {**diffusion.GPU, **training.GPU, **(kohya.GPU if kohya.CHECKOUT else {})}


SUITES = {"cpu": cpu, "gpu": gpu}
