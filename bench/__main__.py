"""Command line of the measurements: `python -m bench run --suite cpu`. Exit 1 when a gate does not hold."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench import harness


def main(arguments: list[str] | None = None) -> int:
    # Before numpy, OpenCV or torch are imported: process time with one thread is the figure that load does not move.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    import cv2

    cv2.setNumThreads(1)
    from bench import cases, kohya

    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="measure a suite")
    run.add_argument("--suite", choices=sorted(cases.SUITES), default="cpu", help="which machine it is about")
    run.add_argument("--case", action="append", default=[], help="this case only (may be given again)")
    run.add_argument("--rounds", type=int, default=5, help="timed rounds a case, 5 or more")
    run.add_argument("--out", type=Path, default=Path("bench/results"), help="folder for the JSON file")
    run.add_argument(
        "--peer-script",
        type=Path,
        metavar="PATH",
        help="a script with run(base, prompt, seeds, side, steps, folder): what the batch cases are measured against",
    )
    run.add_argument(
        "--kohya",
        type=Path,
        metavar="FOLDER",
        help="a checkout of kohya's sd-scripts with its Python in venv/: what the case train-kohya is measured against",
    )
    asked = parser.parse_args(arguments)
    if asked.peer_script is None:
        print("no --peer-script: the plain pipeline loop, one picture at a time, is the peer of the batch cases")
    elif not asked.peer_script.is_file():
        print(f"{asked.peer_script} is not here: skipped; the plain pipeline loop is the peer of the batch cases")
    else:
        from bench import diffusion

        diffusion.PEER = asked.peer_script
    if asked.kohya is None:
        print("no --kohya: the case train-kohya is left out")
    elif not (asked.kohya / "train_network.py").is_file():
        print(f"{asked.kohya} is no checkout of sd-scripts: the case train-kohya is left out")
    else:
        kohya.CHECKOUT = asked.kohya
    suite = cases.SUITES[asked.suite]()
    unknown = sorted(set(asked.case) - set(suite))
    if unknown:
        run.error(f"no case {', '.join(unknown)}; the suite {asked.suite} has {', '.join(suite)}")
    if asked.rounds < 5:
        run.error(f"--rounds is {asked.rounds}; fewer than 5 say nothing about the worst one")

    results = []
    for name in asked.case or suite:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            results.append(harness.measure(suite[name](Path(folder)), asked.rounds))
        print(results[-1], flush=True)
    print(harness.report(asked.suite, results, asked.out))
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
