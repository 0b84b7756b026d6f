"""Our routes, put together: everything but the page. Knows no Gradio, so that it can be served and tested without."""

import tomllib
from pathlib import Path

from studio import (
    adapters,
    answers,
    api,
    batches,
    captions,
    docs,
    downloads,
    events,
    folders,
    head,
    health,
    labels,
    machine,
    masks,
    projects,
    sets,
    shapes,
    tensorboard,
    trainings,
    uploads,
)
from studio.context import Context

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def application(context: Context) -> api.Application:
    """FastAPI with every route of ours; the page is mounted on it last, as it answers to everything else."""
    about = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    app = api.Application(
        title="Flawsmith", version=about["version"], description=about["description"], docs_url=None, redoc_url=None
    )
    answers.install(app, context.runs)
    for router in (
        health.router(context),
        api.catalogue(context),
        events.router(events.Watchers(context.queue)),
        api.runs(context),
        uploads.router(context),
        shapes.router(context),
        masks.router(context),
        adapters.router(context),
        downloads.router(context),
        machine.router(context),
        projects.router(context),
        labels.router(context),
        captions.router(context),
        batches.router(context),
        folders.router(context),
        sets.router(context),
        trainings.router(context),
        tensorboard.router(context),
        docs.router,
        head.router,
        api.nothing_here(),
    ):
        app.include_router(router)
    return app
