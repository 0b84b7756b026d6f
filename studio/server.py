"""The web process: our routes, the page mounted on them, fence and guard around both. Computes nothing."""

import gradio
from fastapi import FastAPI
from starlette.types import ASGIApp

from studio import i18n, routes, shell
from studio.context import Context
from studio.fence import Fence
from studio.guard import Guard
from studio.head import Head
from studio.kept import Kept
from studio.tongues import Tongues


def build(context: Context) -> ASGIApp:
    """The whole application."""

    async def page(code: str) -> ASGIApp:
        blocks = shell.build(context, i18n.language(code))  # 0.2 s, once a language
        app = _mounted(FastAPI(), blocks, code, f"/{code}")
        blocks.run_startup_events()  # the queue's thread; a page that is there from the start gets it by its lifespan
        await blocks.run_extra_startup_events()
        return Head(app, code)

    blocks = shell.build(context, i18n.language())
    english = _mounted(routes.application(context), blocks, i18n.ENGLISH, "/")
    return Guard(Fence(Kept(Tongues(Head(english, i18n.ENGLISH), page))))


def _mounted(app: FastAPI, blocks: gradio.Blocks, code: str, path: str) -> FastAPI:
    """`app`, with the page in one language below `path`."""
    return gradio.mount_gradio_app(
        app,
        blocks,
        path=path,
        allowed_paths=[],
        show_error=False,  # only gr.Error, whose text we wrote, reaches the screen
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        **shell.mount_options(i18n.language(code)),
    )
