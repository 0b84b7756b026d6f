"""The web process: our routes, the page mounted on them, fence and guard around both. Computes nothing."""

import gradio
from starlette.types import ASGIApp

from studio import routes, shell
from studio.context import Context
from studio.fence import Fence
from studio.guard import Guard


def build(context: Context) -> ASGIApp:
    """The whole application."""
    app = routes.application(context)
    gradio.mount_gradio_app(
        app,
        shell.build(context),
        path="/",
        allowed_paths=[],
        show_error=False,  # only gr.Error, whose text we wrote, reaches the screen
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        **shell.mount_options(),
    )
    return Guard(Fence(app))
