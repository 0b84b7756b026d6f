"""Settings outlive the process that wrote them, and two who change them at once lose nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core import settings
from pipelines.core.errors import BadInput


def test_where_nobody_has_set_anything_nothing_is_set(runs: Path) -> None:
    assert settings.read(runs).budgets == {}
    assert list(runs.iterdir()) == []


def test_what_was_set_is_read_again(runs: Path) -> None:
    with settings.changing(runs) as kept:
        kept.budgets["cuda:0"] = 5
    with settings.changing(runs) as kept:
        kept.budgets["cpu"] = 7
    assert settings.read(runs).budgets == {"cuda:0": 5, "cpu": 7}


def test_a_key_of_a_later_version_stays(runs: Path) -> None:
    (runs / settings.FILE).write_text('{"tomorrow": [1, 2], "budgets": {"cpu": 3}}')
    with settings.changing(runs) as kept:
        kept.budgets["cpu"] = 4
    assert json.loads((runs / settings.FILE).read_text()) == {"budgets": {"cpu": 4}, "tomorrow": [1, 2]}


def test_a_change_that_fails_leaves_the_file_as_it_was(runs: Path) -> None:
    with settings.changing(runs) as kept:
        kept.budgets["cpu"] = 1
    changing = settings.changing(runs)
    changing.__enter__().budgets["cpu"] = 2
    assert not changing.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert settings.read(runs).budgets == {"cpu": 1}


@pytest.mark.parametrize(
    ("text", "place"),
    [("", "the file"), ("[]", "the file"), ('{"budgets": {"cpu": 0}}', "budgets.cpu"), ('{"budgets": 3}', "budgets")],
)
def test_a_damaged_file_is_named_and_never_written_over(runs: Path, text: str, place: str) -> None:
    (runs / settings.FILE).write_text(text)
    with pytest.raises(BadInput, match=rf"settings\.json in .* is not as it should be \({place}: .*: mend that"):
        settings.read(runs)
    with pytest.raises(BadInput, match="delete the file"), settings.changing(runs):
        pass
    assert (runs / settings.FILE).read_text() == text


def test_many_processes_change_it_at_once_and_none_is_lost(runs: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.core import settings\n"
        "for number in range(10):\n"
        f"    with settings.changing(Path({str(runs)!r})) as kept:\n"
        "        kept.budgets[f'{sys.argv[1]}:{number}'] = 1\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(name)]) for name in range(4)]
    assert [one.wait(60) for one in writers] == [0] * 4
    assert len(settings.read(runs).budgets) == 40
