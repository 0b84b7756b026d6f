"""Small data sets as other people's tools write them: by their own writers, else by the published description.

None is written by our exporters.
"""

import base64
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as cocos
from scipy.io import savemat

from tests import flawed_sets, pictures
from tests.flawed_sets import HEIGHT, WIDTH, place, put, spot

SHAPE = (HEIGHT, WIDTH)


def ring(number: int) -> np.ndarray:
    """A mask with a hole, and a second part that touches the bottom of the picture and the top of the next column."""
    mask = spot(place(number)) & ~pictures.disc(HEIGHT, WIDTH, radius=4, at=place(number))
    mask[-6:, 90:97] = True
    mask[:3, 94:99] = True
    return mask


def visa(root: Path) -> None:
    """github.com/amazon-science/spot-diff: split_csv/1cls.csv and image_anno.csv name files from the top."""
    rows = [["object", "split", "label", "image", "mask"]]
    kinds = [["image", "label", "mask"]]
    for name in ("candle", "pcb 1"):
        data = f"{name}/Data"
        for number in range(3):
            image = f"{data}/Images/Normal/{number:04}.JPG"
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            flawed_sets.saved(root / image, flawed_sets.part(number + len(name)), "JPEG")
            rows.append([name, "train" if number < 2 else "test", "normal", image, ""])
        for number in range(2):
            image, mask = f"{data}/Images/Anomaly/{number:03}.JPG", f"{data}/Masks/Anomaly/{number:03}.png"
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            flawed_sets.saved(root / image, flawed_sets.part(9 + number + len(name), at=place(number)), "JPEG")
            put(root / mask, spot(place(number)).astype(np.uint8) * (1 + number))
            rows.append([name, "test", "anomaly", image, mask])
            kinds.append([image, "melt,chunk of wax" if number else "melt", mask])
    (root / "split_csv").mkdir()
    with (root / "split_csv/1cls.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with (root / "candle/image_anno.csv").open("w", newline="") as file:
        csv.writer(file).writerows(kinds)


def labelme(root: Path) -> None:
    """github.com/wkentaro/labelme 5: the keys in the order that it writes them."""
    corners = [[20.0, 20.0], [40.0, 20.0], [40.0, 30.0], [20.0, 30.0]]
    mask = np.zeros((11, 13), np.uint8)
    mask[2:9, 3:4] = 1
    data = cv2.imencode(".png", mask)[1].tobytes()
    shapes: list[tuple[str, list[list[float]], dict[str, Any]]] = [
        ("polygon", corners, {}),
        ("rectangle", [[40, 30], [20, 20]], {}),
        ("circle", [[40, 40], [40, 50]], {}),
        ("line", [[20, 20], [60, 20]], {}),
        ("linestrip", [[20, 20], [60, 20], [60, 60]], {}),
        ("point", [[30, 30]], {}),
        ("mask", [[50, 40], [62, 50]], {"mask": base64.b64encode(data).decode()}),
    ]
    for number, (kind, points, more) in enumerate(shapes):
        put(root / f"线 {kind}.png", flawed_sets.part(number, at=place(number)))
        written(root, f"线 {kind}", [labelme_shape("划痕", kind, points, **more)])
    put(root / "good 1.png", flawed_sets.part(40))
    written(root, "good 1", [])


def labelme_shape(label: str, kind: str, points: list[list[float]], **more: object) -> dict[str, object]:
    head: dict[str, object] = {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
    }
    return {**head, **more}


def written(root: Path, stem: str, shapes: list[dict[str, object]]) -> None:
    table: dict[str, object] = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{stem}.png",
        "imageData": None,
    }
    text = json.dumps({**table, "imageHeight": HEIGHT, "imageWidth": WIDTH}, ensure_ascii=False, indent=2)
    (root / f"{stem}.json").write_text(text, encoding="utf-8")


CVAT = (
    '<box label="dent" source="manual" occluded="0" xtl="20.00" ytl="20.00" xbr="40.00" ybr="30.00" z_order="0"/>',
    '<box label="dent" xtl="20.00" ytl="20.00" xbr="40.00" ybr="30.00" rotation="90.00"/>',
    '<polygon label="dent" occluded="0" points="20.00,20.00;40.00,20.00;40.00,30.00;20.00,30.00"/>',
    '<ellipse label="dent" cx="40.00" cy="40.00" rx="20.00" ry="10.00" rotation="90.00" z_order="0"/>',
    '<mask label="dent" rle="2, 3, 4, 1" left="30" top="40" width="5" height="2" z_order="0"/>',
    '<polyline label="dent" points="20.00,20.00;60.00,20.00"/>',
    '<points label="dent" points="30.00,30.00;60.00,60.00"/>',
    '<tag label="scorched" source="manual"></tag>',
    "",
)
"""Entries as docs.cvat.ai describes CVAT for images 1.1, one for each picture."""


def cvat(root: Path) -> None:
    entries = ""
    for number, entry in enumerate(CVAT):
        put(root / f"images/批 {number}.png", flawed_sets.part(number, at=place(number)))
        entries += f'<image id="{number}" name="批 {number}.png" width="{WIDTH}" height="{HEIGHT}">{entry}</image>'
    meta = "<meta><task><id>4</id><name>plates</name><mode>annotation</mode></task></meta>"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{entries}</annotations>'
    (root / "annotations.xml").write_text(text, encoding="utf-8")


def sagemaker(root: Path) -> None:
    """docs.aws.amazon.com, output data: a bounding-box job, a segmentation job of two classes, one kind of a whole."""
    lines: list[dict[str, object]] = []
    for number in range(4):
        put(root / f"pictures/p {number}.png", flawed_sets.part(number, at=place(number)))
    size = [{"width": WIDTH, "height": HEIGHT, "depth": 3}]
    box = {"class_id": 1, "top": 20, "left": 30, "width": 10, "height": 5}
    facts = {"class-map": {"0": "dent", "1": "scratch"}, "type": "groundtruth/object-detection", "job-name": "a"}
    lines.append(
        {
            "source-ref": "s3://plates/2024/pictures/p 0.png",
            "boxes": {"image_size": size, "annotations": [box]},
            "boxes-metadata": facts,
        }
    )
    colours = Image.new("P", (WIDTH, HEIGHT))
    colours.putpalette([255, 255, 255, 31, 119, 180, 255, 127, 14])
    values = spot(place(1)).astype(np.uint8)
    values[5:9, 100:110] = 2
    colours.putdata(values.ravel().tolist())
    (root / "job/annotations").mkdir(parents=True)
    colours.save(root / "job/annotations/1.png")
    named = {"0": "BACKGROUND", "1": "dent", "2": "scratch"}
    hexes = ("#ffffff", "#1f77b4", "#ff7f0e")
    entry = {key: {"class-name": name, "hex-color": hexes[int(key)]} for key, name in named.items()}
    lines.append(
        {
            "source-ref": "s3://plates/2024/pictures/p 1.png",
            "seg-ref": "s3://out/job/annotations/1.png",
            "seg-ref-metadata": {"internal-color-map": entry, "type": "groundtruth/semantic-segmentation"},
        }
    )
    for number, kind in ((2, "rust"), (3, "normal")):
        said = {"class-name": kind, "confidence": 0.9, "type": "groundtruth/image-classification"}
        lines.append({"source-ref": f"s3://plates/2024/pictures/p {number}.png", "kind": 0, "kind-metadata": said})
    (root / "job/manifests/output").mkdir(parents=True)
    (root / "job/manifests/output/output.manifest").write_text("".join(json.dumps(line) + "\n" for line in lines))


def deeppcb(root: Path) -> None:
    """As the data set's README says it, with commas: the files themselves have spaces."""
    folder = root / "PCBData/group00041/00041"
    for number in range(2):
        stem = f"0004100{number}"
        put(folder / f"{stem}_temp.jpg", flawed_sets.part(number))
        put(folder / f"{stem}_test.jpg", flawed_sets.part(number, at=place(number)))
        label = folder.with_name("00041_not") / f"{stem}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text(f"20,20,40,30,{number + 2}\n")
    (root / "PCBData/trainval.txt").write_text("group00041/00041/00041000.jpg group00041/00041_not/00041000.txt\n")
    (root / "PCBData/test.txt").write_text("group00041/00041/00041001.jpg group00041/00041_not/00041001.txt\n")


def elpv(root: Path) -> None:
    """github.com/zae-bayern/elpv-dataset: columns of one width, four probabilities."""
    lines = ""
    for number, (share, kind) in enumerate(
        (
            ("1.0", "mono"),
            ("0.0", "mono"),
            ("0.3333333333333333", "poly"),
            ("0.6666666666666666", "poly"),
        )
    ):
        put(root / f"images/cell{number + 1:04}.png", flawed_sets.part(number))
        lines += f"images/cell{number + 1:04}.png  {share:<22}{kind}\n"
    (root / "labels.csv").write_text(lines)


def matlab(root: Path) -> None:
    """CrackForest's tree: image/001.jpg, groundTruth/001.mat with a structure; 1 is the road and 2 the crack."""
    for number in range(3):
        (root / "image").mkdir(parents=True, exist_ok=True)
        (root / "groundTruth").mkdir(exist_ok=True)
        flawed_sets.saved(root / f"image/{number:03}.jpg", flawed_sets.part(number, at=place(number)), "JPEG")
        marks = np.where(ring(number) & (number < 2), 2, 1).astype(np.uint16)
        inside = {"Segmentation": marks, "Boundaries": (marks > 1).astype(np.uint8)}
        savemat(root / f"groundTruth/{number:03}.mat", {"groundTruth": inside}, do_compression=True)


def imagefolder(root: Path) -> None:
    """huggingface.co/docs/datasets/image_dataset."""
    for part in ("train", "test"):
        for kind in ("normal", "rust", "划痕 深"):
            for number in range(2):
                put(root / part / kind / f"{number}.png", flawed_sets.part(number + len(part) + 7 * len(kind)))


def metadata(root: Path) -> None:
    """The same with tables: boxes and captions in one part, labels and masks in the other."""
    lines = ""
    for number in range(2):
        put(root / f"train/{number}.png", flawed_sets.part(number, at=place(number)))
        found = {"bbox": [[20.0, 20.0, 20.0, 10.0]] * number, "categories": ["dent"] * number}
        lines += json.dumps({"file_name": f"{number}.png", "text": f"plate {number}", "objects": found}) + "\n"
    (root / "train/metadata.jsonl").write_text(lines)
    put(root / "test/a/0.png", flawed_sets.part(20, at=place(0)))
    put(root / "test/a/1.png", flawed_sets.part(21))
    put(root / "test/m/0.png", spot(place(0)))
    rows = ["file_name,mask_file_name,label", "a/0.png,m/0.png,rust", "a/1.png,,good"]
    (root / "test/metadata.csv").write_text("\n".join(rows))


def coco(root: Path) -> None:
    """Run lengths by pycocotools: compressed, and uncompressed as its annotations of crowds are."""
    entries, labels = [], []
    for number in range(4):
        put(root / f"images/part {number}.png", flawed_sets.part(number, at=place(number)))
        entries.append({"id": number, "file_name": f"part {number}.png", "width": WIDTH, "height": HEIGHT})
        mask = np.asfortranarray(ring(number).astype(np.uint8))
        found = cocos.encode(mask)
        runs: dict[str, object] = {"size": found["size"], "counts": found["counts"].decode()}
        if number % 2:
            turns = np.flatnonzero(np.diff(mask.T.ravel())) + 1
            runs["counts"] = np.diff([0, *turns, mask.size]).tolist()
        bbox = cocos.toBbox(found).tolist()
        labels.append({"id": number, "image_id": number, "category_id": 1, "bbox": bbox, "segmentation": runs})
    (root / "annotations").mkdir()
    table = {"images": entries, "annotations": labels, "categories": [{"id": 1, "name": "dent"}]}
    (root / "annotations/instances_train.json").write_text(json.dumps(table))


def voc_colours(count: int) -> list[int]:
    """VOCdevkit's VOClabelcolormap, as a palette."""
    found = []
    for number in range(count):
        red = green = blue = 0
        rest = number
        for shift in range(7, -1, -1):
            red |= (rest & 1) << shift
            green |= (rest >> 1 & 1) << shift
            blue |= (rest >> 2 & 1) << shift
            rest >>= 3
        found += [red, green, blue]
    return found


def palette(path: Path, values: np.ndarray) -> None:
    """A PNG with VOC's palette, by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8), "L")
    picture = picture.convert("P")
    picture.putdata(values.ravel().tolist())
    picture.putpalette(voc_colours(256))
    picture.save(path)


def voc(root: Path) -> None:
    """Boxes of a cat and a bus in each picture; masks with a seam by class of two of them, by object of a third."""
    (root / "Annotations").mkdir(parents=True)
    for number in range(4):
        x, y = place(number)
        put(root / f"JPEGImages/2007_00000{number}.png", flawed_sets.part(number, at=(x, y)))
        boxes = ("cat", x - 8, y - 8, x + 10, y + 10), ("bus", 91, 81, 101, 91)
        (root / f"Annotations/2007_00000{number}.xml").write_text(flawed_sets.xml(*boxes))
        disc, square = spot((x, y)), np.zeros(SHAPE, bool)
        square[80:91, 90:101] = True
        seam = cv2.dilate(disc.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~disc
        if number < 2:
            values = np.select([seam, disc, square & (number == 0)], [255, 8, 6], 0)
            palette(root / f"SegmentationClass/2007_00000{number}.png", values)
        if number < 3:
            values = np.select([seam, disc, square], [255, 1, 2], 0)
            palette(root / f"SegmentationObject/2007_00000{number}.png", values)
