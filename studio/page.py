"""What the shell and the tabs share: the job bar, Stop, what the browser remembers, and how events are declared."""

from dataclasses import dataclass
from typing import Any

from studio.i18n import Language

# Our own HTTP routes are the interface for scripts; the page's events are nobody else's business.
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Page:
    """The components that every tab may write to or read from."""

    say: Language
    """The words of this page's language."""
    here: Any
    """Its event `arrive` comes once, when a window has opened and events are safe to send; Blocks.load is too soon."""
    bar: Any
    """The job bar (studio.widgets), showing `watch.job`."""
    stop: Any
    """The Stop button of the run in the job bar."""
    run: Any
    """gr.BrowserState: the id of the run this browser painted last."""
    picture: Any
    """gr.BrowserState: the asset id of the picture on the canvas."""
    project: Any
    """gr.BrowserState: the id of the project that is open."""
    form: Any
    """gr.BrowserState: what Paint's controls hold, as one dict."""
    tabs: Any
    """The tabs of the page; an event that leads to another one sets `selected`."""
    sent: Any
    """gr.State: what one tab hands to another, {"to": tab id, "at": time_ns, ...}; the other hears its `change`."""
    export: Any
    """gr.BrowserState: the id of the export this browser asked for last."""
