"""The files around the code say what is so: requirements, lock, README, licence. Knows nothing of the code itself."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import OURS, ROOT, all_imports

BOTH = ("requirements.txt", "requirements-dev.txt")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(*names: str) -> dict[str, str]:
    """{package: version} of requirement files; a line that pins nothing fails here."""
    found: dict[str, str] = {}
    for name in names:
        for line in read(name).splitlines():
            if line and not line.startswith("#"):
                pinned = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[a-z]+\])?==([A-Za-z0-9.+!]+)", line)
                assert pinned, f"{name} does not pin: {line}"
                assert normal(pinned[1]) not in found, f"{name} names {pinned[1]} twice"
                found[normal(pinned[1])] = pinned[2]
    return found


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("folders", "files"),
    [(("app", "studio", "pipelines"), ("requirements.txt", "requirements-scale.txt")), (("bench", "tests"), BOTH)],
    ids=["what runs", "what measures and tests"],
)
def test_every_direct_import_is_a_pinned_requirement(folders: tuple[str, ...], files: tuple[str, ...]) -> None:
    providers = importlib.metadata.packages_distributions()
    required = set(pins(*files))
    missing = {
        f"{found} (of {', '.join(providers.get(found.top, ['a package that is not installed']))})"
        for found in all_imports(*folders)
        if found.top not in set(sys.stdlib_module_names) | set(OURS)
        and not required & {normal(name) for name in providers.get(found.top, [])}
    }
    assert not missing, "\n".join(sorted(missing))


def test_every_requirement_is_pinned_alike_in_the_lock() -> None:
    asked, locked = pins(*BOTH), pins("requirements.lock")
    assert {name: locked.get(name) for name in asked} == asked
    assert locked["opencv-python"] == locked["opencv-python-headless"]
    assert pins("requirements-scale.txt").items() <= asked.items()


def test_what_is_installed_is_what_the_lock_says() -> None:
    """Otherwise these tests judge other packages than people get; `make setup` brings them in line."""
    installed = {normal(found.metadata["Name"]): found.version for found in importlib.metadata.distributions()}
    locked = pins("requirements.lock")
    assert set(pins(*BOTH)) <= set(installed)
    assert {name: installed[name] for name in locked if name in installed} == {
        name: version for name, version in locked.items() if name in installed
    }


def test_cv2_needs_no_screen() -> None:
    import cv2

    assert re.search(r"^\s*GUI:\s+NONE", cv2.getBuildInformation(), flags=re.MULTILINE), "run make setup"


def test_the_lock_names_no_host() -> None:
    assert "://" not in read("requirements.lock")


def test_every_name_in_the_readmes_tree_exists() -> None:
    block = re.search(r"^## The tree\n+```\n(.*?)^```", read("README.md"), flags=re.MULTILINE | re.DOTALL)
    assert block
    missing, folders = [], [(-1, Path())]
    for line in block[1].splitlines():
        name = line.split()[0]
        depth = len(line) - len(line.lstrip())
        while folders[-1][0] >= depth:
            folders.pop()
        place = folders[-1][1] / name
        if name.endswith("/"):
            folders.append((depth, place))
        if not ((ROOT / place).is_dir() if name.endswith("/") else (ROOT / place).is_file()):
            missing.append(str(place))
    assert len(block[1].splitlines()) > 20
    assert not missing


def test_every_link_and_picture_of_the_readme_is_there() -> None:
    places = re.findall(r"\]\((?!https?:|#)([^)#]+)", read("README.md"))
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("name", ["README.md", ".ci/run", "Dockerfile", *BOTH, "CHANGELOG.md"])
def test_every_make_command_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"(?:^|`|\bRUN |  )make ((?:[a-z]+-)*[a-z]+)(?=`|\s|$)", read(name), flags=re.MULTILINE))
    assert named <= targets()


def test_the_makefile_offers_what_the_contract_names() -> None:
    assert {"setup", "run", "test", "test-long", "check", "format", "bench", "lock", "clean"} <= targets()


def test_the_licence_is_whole() -> None:
    licence = read("LICENSE")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_the_changelog_opens_with_what_is_unreleased() -> None:
    assert re.search(r"\A# .+\n+(?:[^#\n].*\n+)*## Unreleased\n", read("CHANGELOG.md"))


def test_no_committed_file_names_a_place_on_one_machine() -> None:
    """A path of the author's machine alone; the one line that finds test pictures beside the clone may stand."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip(f"not a git clone: {listed.stderr.strip()}")
    place = re.compile(r"(?<![\w.:/-])/(?:work|root|home/\w+|Users/\w+)/|\bshared" + "/")
    named = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name in sorted(set(listed.stdout.split("\0")) - {""})
        if (ROOT / name).is_file() and (text := text_of(ROOT / name)) is not None
        for number, line in enumerate(text.splitlines(), 1)
        if place.search(line) and not (name in ("Makefile", ".ci/run") and "FLAWSMITH_TEST_DATA" in line)
    ]
    assert not named, "\n".join(named)


def text_of(path: Path) -> str | None:
    """None for pictures and other bytes."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
