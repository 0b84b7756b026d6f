"""Draws the sample pictures of the page's gallery again: `python -m bench.samples`.

They are our own surfaces, so they may be given away with the studio. Which surface and seed each one is stands in
presets/samples/samples.toml; this reads it and writes the pictures beside it. Does not choose them.
"""

import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np

from pipelines.parts import surfaces

FOLDER = Path(__file__).parents[1] / "presets" / "samples"
QUALITY = 90


def main(folder: Path = FOLDER) -> int:
    """Write every sample of samples.toml that stands in this folder."""
    table = tomllib.loads((folder / "samples.toml").read_text(encoding="utf-8"))
    side = int(table["side"])
    for sample in table["samples"]:
        picture = surfaces.make(sample["surface"], sample["seed"], (side, side)).image
        pixels = np.round(picture * 255).astype(np.uint8)
        fine, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not fine:
            raise OSError(f"{sample['file']} could not be encoded as JPEG; is OpenCV complete?")
        (folder / sample["file"]).write_bytes(data.tobytes())
        print(f"{sample['file']}  {len(data) / 1024:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
