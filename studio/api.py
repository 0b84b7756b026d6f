"""The routes that scripts use: what can be asked, and asking. Knows the queue and the catalogues; computes nothing.

No route takes a path of the server's disk, and none gives one back.
"""

import shutil
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Query
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipelines.core import intake, kinds, presets, requests
from pipelines.core.errors import DiskFull, Missing, Problem
from pipelines.core.queue import ROOM_BYTES, Row
from studio import bases, i18n
from studio.answers import NO_ROOM, Refusal, hide, refuse
from studio.context import Context
from studio.shapes import Stroke

SCHEMAS = "#/components/schemas/{model}"
MOST_WAITING = 1000
FIRST_IMAGES = 100

Tongue = Annotated[str, Query(max_length=20, description="The language of sentences, such as ja")]


class QueueFull(Problem):
    """So much waits already that one more would not be reached today."""

    code = "queue_full"


FILES = (
    "request.json", "result.json", "manifest.jsonl", "log.jsonl", "preview.jpg", "export.zip", "project.zip",
)  # fmt: skip
"""Of a run's folder, what has an address of its own."""


def submit(context: Context, data: Any) -> str:
    """Puts a request from the web in line and returns its run id. Raises BadInput, Missing, DiskFull, QueueFull."""
    request = intake.from_web(data, context.assets)
    waiting = context.queue.count_open()
    if waiting >= MOST_WAITING:
        raise QueueFull(f"{waiting} runs wait already: stop some, or ask again when they are done")
    if shutil.disk_usage(context.runs).free < ROOM_BYTES:
        raise DiskFull(NO_ROOM)
    return context.queue.submit(request)


def described(context: Context, row: Row) -> dict[str, Any]:
    """A run with its request and the addresses of its files."""
    rows = context.queue.rows(row.id, limit=FIRST_IMAGES)
    folder = context.runs / row.id
    named = [name for name in FILES if (folder / name).is_file()]
    return {
        **row.public(),
        "sentence": hide(row.sentence, context.runs) if row.sentence else None,
        "images": [f"/files/{row.id}/{one['file']}" for one in rows if "file" in one],
        "files": {name: f"/files/{row.id}/{name}" for name in named},
    }


def catalogue(context: Context) -> APIRouter:
    """What can be asked: tasks, presets, bases, defects."""
    own = presets.own_folder(context.runs)
    routes = APIRouter(prefix="/api", tags=["catalogue"])

    @routes.get("/tasks", summary="Every task, with its title")
    def tasks() -> list[dict[str, str]]:
        return [{"task": name, "title": request.title} for name, request in requests.TASKS.items()]

    @routes.get(
        "/tasks/{task}", summary="The JSON schema of a task's request", responses={404: {"description": "No such task"}}
    )
    def task(task: str) -> dict[str, Any]:
        if task not in requests.TASKS:
            raise Missing(f"no task {task[:80]!r}; there is {', '.join(requests.TASKS)}")
        return requests.TASKS[task].model_json_schema()

    @routes.get("/presets", summary="Every preset: a partial request by name; `own` ones were saved in this studio")
    def all_presets() -> list[dict[str, Any]]:
        return [
            {
                "id": preset.id,
                "product": product.id,
                "label": preset.label,
                "task": preset.task,
                "fields": preset.fields,
                "diffusion": preset.diffusion,
                "shape": preset.shape,
                "control": preset.control,
                "oriented": product.oriented,
                "own": preset.own,
            }
            for product in presets.products(own=own).values()
            for preset in product.presets
        ]

    @routes.get("/bases", summary="Every base: what it is, whether its weights are here, and what would bring them")
    def all_bases(
        language: Tongue = i18n.ENGLISH,
    ) -> list[dict[str, Any]]:
        return bases.listed(i18n.language(i18n.best(language, "")))

    @routes.get("/nets", summary="Every control net and what makes maps: what it is, whether it is here")
    def all_nets(
        language: Tongue = i18n.ENGLISH,
    ) -> list[dict[str, Any]]:
        return bases.steering(i18n.language(i18n.best(language, "")))

    @routes.get("/defects", summary="Every kind of defect, with its own parameters")
    def all_defects() -> list[dict[str, Any]]:
        return [
            {key: value for key, value in asdict(kind).items() if key != "recipe"} for kind in kinds.load().values()
        ]

    return routes


def runs(context: Context) -> APIRouter:
    """Asking, looking, stopping, going on."""
    routes = APIRouter(prefix="/api/runs", tags=["runs"])
    no_such: dict[int | str, dict[str, Any]] = {404: {"description": "No such run"}}

    @routes.post(
        "",
        status_code=201,
        summary="Ask for a run",
        description="The body is a request: the fields of one task, files by asset id or as RUN/images/00000.png.",
        responses={
            422: {"description": "Not as the request's schema says: field and bound in the sentence"},
            503: {"description": "Too many runs wait"},
            507: {"description": "The disk is full"},
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "oneOf": [{"$ref": SCHEMAS.format(model=one.__name__)} for one in requests.TASKS.values()]
                        }
                    }
                },
            }
        },
    )
    def ask(data: Annotated[Any, Body()]) -> Any:
        try:
            return {"id": submit(context, data)}
        except Missing as error:  # a file that the request names: the request is at fault, not the address
            return refuse(422, error.code, hide(str(error), context.runs))

    @routes.get("", summary="Runs, newest first; or those that are not over, in the order they are worked on")
    def listed(
        after: Annotated[str | None, Query(description="The last id of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="How many")] = 50,
        open: Annotated[
            bool, Query(description="Only those that are not over; `open` says how many there are")
        ] = False,
    ) -> dict[str, Any]:
        if open:
            waiting = context.queue.open()
            return {"runs": [row.public() for row in waiting[:limit]], "next": None, "open": len(waiting)}
        rows = context.queue.newest(after, limit)
        return {"runs": [row.public() for row in rows], "next": rows[-1].id if len(rows) == limit else None}

    @routes.get("/{id}", summary="One run: its state, its request and where its files are", responses=no_such)
    def one(id: str) -> dict[str, Any]:
        return described(context, context.queue.get(id))

    @routes.post("/{id}/stop", summary="Stop a run; what is finished stays", responses=no_such)
    def stop(id: str) -> dict[str, Any]:
        return described(context, context.queue.stop(id))

    @routes.post(
        "/{id}/resume", summary="Take a run up where it stopped; a run that is done stays as it is", responses=no_such
    )
    def resume(id: str) -> dict[str, Any]:
        return described(context, context.queue.resume(id))

    return routes


def nothing_here() -> APIRouter:
    """Whatever else is asked for under /api: said in our words, not in Gradio's. Goes in last."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/api/{rest:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def nothing(rest: str) -> Any:
        return refuse(404, "missing", f"there is nothing at /api/{rest[:200]}; /docs lists what there is")

    return routes


class Application(FastAPI):
    """FastAPI, with what it cannot see in /openapi.json: bodies are parsed by `requests.parse`, which gives HTTP the
    sentences of the CLI, and every refusal has the shape of `answers.Refusal`.
    """

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            models: list[type[BaseModel]] = [*requests.TASKS.values(), Stroke, Refusal]
            _, found = models_json_schema([(one, "validation") for one in models], ref_template=SCHEMAS)
            schema["components"]["schemas"] |= found["$defs"]
            refused = {"application/json": {"schema": {"$ref": SCHEMAS.format(model="Refusal")}}}
            for methods in schema["paths"].values():
                for operation in methods.values():
                    for code, answer in operation["responses"].items():
                        if int(code) >= 400:
                            answer["content"] = refused
                            answer["description"] = answer["description"].replace(
                                "Validation Error", "Not as described"
                            )
        return super().openapi()
