"""The real thing: `python app.py` as a person starts it, its page, its workers, its end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import app
from pipelines.core import images
from pipelines.core.errors import BadInput
from tests.studio import windows
from tests.studio.serving import Answer, ask

ROOT = Path(__file__).parents[1]


def start(*flags: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **variables}
    command = [sys.executable, "app.py", "--no-browser", *flags]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(*flags: str, **variables: str) -> tuple[int, str]:
    """Exit code and last words of a start that is refused."""
    with start(*flags, **variables) as process:
        _, said = process.communicate(timeout=30)
    return process.returncode, said


def until(true: Callable[[], Any], within_s: float = 30) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return found


def workers(pid: int) -> dict[str, psutil.Process]:
    """The workers of a studio by lane."""
    found = {}
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # gone between the list and the look
            line = child.cmdline()
            if "--lane" in line:
                found[line[line.index("--lane") + 1]] = child
    return found


def picture() -> tuple[np.ndarray, np.ndarray]:
    """A grainy grey part, and where the defect goes."""
    mask = np.zeros((96, 96), bool)
    mask[30:60, 20:70] = True
    return np.random.default_rng(1).integers(120, 160, (96, 96, 3), np.uint8), mask


class Studio:
    """A running app.py."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.process = start("--port", "0", "--runs", str(runs))
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line or self.process.communicate()[1]
        self.port = int(found[1])

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        return ask(self.port, method, path, **more)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def ready(self) -> bool:
        return self.get("/readyz").status == 200

    def upload(self, pixels: np.ndarray, name: str) -> str:
        answer = self.ask("POST", "/api/uploads", body=images.encode_png(pixels), headers={"X-Filename": name})
        found: str = answer.json()["asset"]
        return found

    def request(self, **fields: Any) -> dict[str, Any]:
        part, mask = picture()
        whole = {"task": "inpaint", "image": self.upload(part, "part.png"), "mask": self.upload(mask, "mask.png")}
        return {**whole, "defect": "scratch", "seed": 3, **fields}

    def run(self, **fields: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/api/runs", data=self.request(**fields))
        assert answer.status == 201, answer.body
        address = f"/api/runs/{answer.json()['id']}"

        def over() -> dict[str, Any] | None:
            row: dict[str, Any] = self.get(address).json()
            return row if row["state"] in ("done", "failed", "cancelled", "quarantined") else None

        found: dict[str, Any] = until(over)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    running = Studio(tmp_path_factory.mktemp("app") / "runs")
    until(running.ready)
    yield running
    if running.process.poll() is None:
        running.stop()


def test_a_request_over_http_becomes_a_picture_on_the_disk(studio: Studio) -> None:
    assert studio.get("/healthz").json() == {"status": "alive"}
    done = studio.run(num_images=2)
    assert (done["state"], done["sentence"]) == ("done", None)
    picture = studio.get(done["images"][1])
    assert picture.body == (studio.runs / done["id"] / "images" / "00001.png").read_bytes()
    assert images.decode(picture.body, "part").pixels.shape == (96, 96, 3)


def test_command_line_and_http_make_the_same_bytes(studio: Studio, tmp_path: Path) -> None:
    part, mask = picture()
    (tmp_path / "part.png").write_bytes(images.encode_png(part))
    (tmp_path / "mask.png").write_bytes(images.encode_png(mask))
    fields = {"image": tmp_path / "part.png", "mask": tmp_path / "mask.png", "defect": "dent", "seed": 11}
    settings = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "pipelines", "run", "inpaint", *settings, "--runs", str(tmp_path / "runs")]
    said = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)
    assert said.returncode == 0, said.stderr
    done = studio.run(defect="dent", seed=11)
    assert studio.get(done["images"][0]).body == (Path(said.stdout.split()[-1]) / "images" / "00000.png").read_bytes()


def test_neither_the_page_nor_a_worker_that_drew_has_loaded_torch(studio: Studio) -> None:
    assert studio.run()["state"] == "done"
    assert studio.get("/").status == 200
    for process in (psutil.Process(studio.process.pid), workers(studio.process.pid)["cpu"]):
        mapped = {Path(one.path).name for one in process.memory_maps()}
        assert not [name for name in mapped if name.startswith(("libtorch", "libc10"))]
        assert any("python" in name for name in mapped)  # the list is the process's own


def test_a_killed_worker_is_started_again_and_work_goes_on(studio: Studio) -> None:
    before = workers(studio.process.pid)
    assert set(before) == {"cpu", "device"}
    for worker in before.values():
        worker.send_signal(signal.SIGKILL)

    def replaced() -> bool:
        now = workers(studio.process.pid)
        return set(now) == {"cpu", "device"} and not {one.pid for one in now.values()} & {
            one.pid for one in before.values()
        }

    until(replaced)
    assert studio.run(seed=4)["state"] == "done"
    until(studio.ready)


def leaks(studio: Studio) -> list[str]:
    """Addresses by which Gradio, as it comes, or a mistake of ours could give a file away."""
    (studio.runs / "secret.png").write_bytes(images.encode_png(np.zeros((4, 4), np.uint8)))
    run = studio.run()["images"][0].split("/")[2]
    files = [
        "/etc/passwd",
        "app.py",
        str(ROOT / "app.py"),
        f"{studio.runs}/secret.png",
        f"{studio.runs}/{run}/request.json",
    ]
    files += [
        f"{studio.runs}/queue.db",
        "../../../../etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "%2e%2e/app.py",
    ]
    addresses = [
        f"{before}{name}"
        for before in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/")
        for name in files
    ]
    return [
        *addresses,
        "/static/../../../../../../etc/passwd",
        "/assets/..%2f..%2f..%2frouting.py",
        "/gradio_api/proxy=http://127.0.0.1:1/",
    ]


def test_gradio_gives_no_file_of_the_machine_away(studio: Studio) -> None:
    for address in leaks(studio):
        answer = studio.get(address)
        assert answer.status in (403, 404), (address, answer.status)
        for given in (b"root:", b"SQLite", b"argparse", b"inpaint"):
            assert given not in answer.body.replace(address.encode(), b""), address


def test_the_guard_stands_before_the_page_too(studio: Studio) -> None:
    page = studio.get("/")
    assert page.status == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert studio.ask("GET", "/", headers={"Host": "evil.example"}).status == 421
    headers = {"Origin": "http://evil.example", "Content-Type": "application/json"}
    assert studio.ask("POST", "/gradio_api/queue/join", body=b"{}", headers=headers).status == 403
    for closed in (
        "/gradio_api/upload",
        "/gradio_api/run/predict",
        "/gradio_api/call/predict",
        "/gradio_api/vibe-code",
        "/monitoring",
    ):
        assert studio.get(closed).status == 404, closed


@pytest.mark.browser
def test_page_and_docs_ask_nothing_of_the_network_and_obey_their_policy(studio: Studio) -> None:
    from playwright.sync_api import sync_playwright

    home = f"http://127.0.0.1:{studio.port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        with windows.watched(browser, home) as page:
            page.goto(home, wait_until="load")
            page.wait_for_selector("gradio-app .gradio-container", timeout=30_000)
            docs = page.context.new_page()  # beside it: to leave a page cuts its streams, of which Gradio complains
            docs.goto(f"{home}/docs")
            docs.wait_for_selector("main[aria-busy=false]")
            assert docs.locator("details").count() > 12
            docs.click("summary:has-text('/api/runs') >> nth=0")
            assert docs.locator("details[open] pre").first.inner_text().startswith("curl")
        browser.close()


def test_a_second_studio_on_the_same_port_says_what_to_do(studio: Studio, tmp_path: Path) -> None:
    code, said = ended("--port", str(studio.port), "--runs", str(tmp_path / "other"))
    assert code == 2
    assert f"port {studio.port} on 127.0.0.1 cannot be used" in said
    assert f"--port {studio.port + 1}" in said
    assert "Traceback" not in said
    assert not (tmp_path / "other").exists()


def test_a_stop_ends_everything_in_order(studio: Studio) -> None:
    """Last of those that share a studio."""
    everyone = psutil.Process(studio.process.pid).children(recursive=True)
    code, said = studio.stop(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in said
    assert not [one for one in everyone if one.is_running()]
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", studio.port))


def test_workers_leave_when_the_studio_is_killed_outright(tmp_path: Path) -> None:
    process = start("--port", "0", "--runs", str(tmp_path / "runs"))
    orphans = until(lambda: found if len(found := workers(process.pid)) == 2 else None)
    until(lambda: (tmp_path / "runs" / "queue.db").exists())
    process.kill()
    try:
        until(lambda: not [one for one in orphans.values() if one.is_running()], within_s=20)
    finally:
        process.communicate(timeout=10)


def test_a_stop_while_the_page_is_still_coming_up_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start("--port", "0", "--runs", str(tmp_path / "runs"))
    children = until(lambda: list(found.values()) if len(found := workers(process.pid)) == 2 else None)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert not [one for one in children if one.is_running()]


REFUSED = [
    (["--host", "0.0.0.0"], {}, "the studio has no users yet"),
    (["--host", "192.168.0.7"], {}, "ssh -L"),
    (["--port", "70000"], {}, "a port is a number from 0 to 65535"),
    (["--share"], {}, "unrecognized arguments: --share"),
    ([], {"GRADIO_SHARE": "True"}, "GRADIO_SHARE=True is set"),
    ([], {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}, "lets a weights file run code"),
    (["--port", "0", "--workers", "99"], {}, "one worker serves one device"),
]


@pytest.mark.parametrize(("flags", "variables", "words"), REFUSED)
def test_a_bad_start_is_refused_with_a_sentence(
    tmp_path: Path, flags: list[str], variables: dict[str, str], words: str
) -> None:
    code, said = ended(*flags, "--runs", str(tmp_path / "runs"), **variables)
    assert code == 2
    assert words in said
    assert "Traceback" not in said


def test_a_runs_folder_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    code, said = ended("--port", "0", "--runs", str(tmp_path / "runs"))
    assert code == 1
    assert "cannot be written" in said
    assert "--runs" in said


def test_each_device_gets_one_worker_and_the_light_one_is_always_there() -> None:
    def lanes(most: int | None) -> list[tuple[str, str]]:
        found = app.posts(Path("runs"), ["cuda:0", "cuda:1"], most)
        return [(one.command[one.command.index("--device") + 1], one.command[-1]) for one in found]

    assert lanes(None) == [("cpu", "cpu"), ("cuda:0", "device"), ("cuda:1", "device")]
    assert lanes(1) == [("cpu", "cpu"), ("cuda:0", "device")]
    assert lanes(0) == [("cpu", "cpu")]
    with pytest.raises(BadInput, match=r"this machine has 2 \(cuda:0, cuda:1\)"):
        lanes(3)


def test_a_variable_set_to_no_is_no_refusal() -> None:
    app.refuse_environment({"GRADIO_SHARE": "False", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "0", "OTHER": "1"})
