"""A data set of many pictures from one request, beside what people write themselves: a loop, PIL and a deflated ZIP.

`python -m bench.many OUT --sources FOLDER [--count 1000]`: five pictures of the folder, four procedural defects, masks
placed by themselves; then exported as MVTec AD and as COCO. The loop draws the same defects with the same code, saves
picture and mask with PIL as they come, and deflates all into one ZIP. Process time, one thread. Writes OUT/many.json.
"""

import argparse
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.core.assets import Assets

ASKED: dict[str, Any] = {
    "task": "batch",
    "template": {"task": "inpaint"},
    "defects": ["scratch", "stain", "hole", "dent"],
    "vary": [{"field": "severity", "low": 0.3, "high": 1.0}],
    "place": {"size": [0.05, 0.25]},
}


def main() -> int:
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    import cv2

    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sources", type=Path, required=True, help="a folder with pictures of good parts")
    parser.add_argument("--count", type=int, default=1000)
    asked = parser.parse_args()
    sources = [str(path) for path in sorted(asked.sources.glob("*.png"))[:5]]
    if not sources:
        parser.error(f"{asked.sources} holds no PNG: name a folder with pictures of good parts")
    told = measured(asked.out, sources, asked.count)
    print(json.dumps(told, indent=2))
    (asked.out / "many.json").write_text(json.dumps(told, indent=2) + "\n")
    return 0


def measured(out: Path, sources: list[str], count: int) -> dict[str, Any]:
    """Seconds of each part of the work, and the ratios."""
    from pipelines.core import intake, requests
    from pipelines.core.assets import Assets
    from pipelines.worker import Worker

    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with Worker(runs, "cpu", ()) as worker:

        def answered(data: dict[str, Any]) -> str:
            request = intake.from_paths(requests.parse(data), Assets(runs))
            row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
            assert row.state == "done", row.sentence
            return row.id

        batch = {**ASKED, "sources": sources}
        answered({**batch, "count": 4})  # imports, and what is read once
        found: dict[str, Any] = {}
        made: list[str] = []
        found["make_and_save"] = spent(lambda: made.append(answered({**batch, "count": count})))
        export = {"task": "export", "data": [made[0]], "pairs": False}
        found["export_mvtec"] = spent(lambda: answered({**export, "format": "mvtec"}))
        found["export_coco"] = spent(lambda: answered({**export, "format": "coco"}))
        rows = worker.queue.rows(made[0])
        found["draw"] = spent(lambda: _draw(rows, runs / made[0], Assets(runs)))
        found["loop_save"], found["loop_zip"] = _loop(rows, runs / made[0], out / "loop")
    ours = found["make_and_save"] - found["draw"] + found["export_mvtec"]
    theirs = found["loop_save"] + found["loop_zip"]
    return {
        "count": count,
        "seconds": {name: round(value, 2) for name, value in found.items()},
        "images_per_second": round(count / found["make_and_save"], 2),
        "saving_and_export": {"ours": round(ours, 2), "loop": round(theirs, 2), "ratio": round(theirs / ours, 2)},
        "whole": {"ratio": round((found["draw"] + theirs) / (found["draw"] + ours), 2)},
    }


def spent(work: Callable[[], object]) -> float:
    """Seconds of process time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _draw(rows: list[dict[str, Any]], run: Path, assets: "Assets") -> None:
    """What the loop has to do as well: read the source, draw the defect."""
    from pipelines.core import images, requests
    from pipelines.generate import drawing, scene

    for row in rows:
        request = requests.parse(images.read_request(run / row["file"]))
        assert isinstance(request, requests.Inpaint)
        whole = scene.read(request, assets)
        drawing.draw(whole, request, drawing.measure(whole.pixels, whole.white))


def _loop(rows: list[dict[str, Any]], run: Path, out: Path) -> tuple[float, float]:
    """Seconds to save pictures and masks with PIL, and to put them into a deflated ZIP."""
    from PIL import Image

    out.mkdir(parents=True, exist_ok=True)
    pairs = [(Image.open(run / row["file"]).copy(), Image.open(run / row["mask"]).copy()) for row in rows[:50]]

    def save() -> None:
        for number in range(len(rows)):
            picture, mask = pairs[number % len(pairs)]
            picture.save(out / f"{number:05d}.png")
            mask.save(out / f"{number:05d}_mask.png")

    def pack() -> None:
        with zipfile.ZipFile(out / "all.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(out.glob("*.png")):
                packed.write(path, path.name)

    return spent(save), spent(pack)


if __name__ == "__main__":
    sys.exit(main())
