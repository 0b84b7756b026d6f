"""Captions from a server that speaks as OpenAI's does, chosen by whoever starts the studio; off until then.

FLAWSMITH_VISION_URL (its base, e.g. http://127.0.0.1:8000/v1), FLAWSMITH_VISION_KEY and FLAWSMITH_VISION_MODEL name it.
Only then, and only by this module, a picture leaves the machine: as a JPEG without what a camera wrote into its file.
The key is sent to that server and to no other, and stands in no sentence.
"""

import base64
import json
from collections.abc import Sequence
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pipelines.core import images, templates
from pipelines.core.captioners import KEY, MODEL, URL, Server, server
from pipelines.core.errors import Problem
from pipelines.core.models import Models
from pipelines.parts.captioners import mixing
from pipelines.parts.captioners.seen import How, Seen

SIDE_PX = 1024
PATIENCE_S = 60.0
"""For each sign of life."""
MOST_BYTES = 1_000_000


class _Stays(HTTPRedirectHandler):
    """A redirection would take the key to another server."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def captions(seen: Sequence[Seen], how: How, models: Models) -> list[str]:
    """What the model says of each picture, in one line; one question after another.

    Raises Missing while the endpoint is off, BadInput for a prompt with fields that there are not, Problem where the
    server does not answer, or not with a caption.
    """
    asked = server()
    questions = [mixing.asked(how.prompt or mixing.INSTRUCTION, one) for one in seen]
    return [_caption(asked, one, question, how) for one, question in zip(seen, questions, strict=True)]


def _caption(server: Server, one: Seen, question: str, how: How) -> str:
    picture = base64.b64encode(images.thumbnail(one.picture, SIDE_PX)).decode()
    content = [
        {"type": "text", "text": question},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}},
    ]
    body = {
        "model": server.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": how.max_new_tokens,
        "temperature": 0,
    }
    said = _text(_post(server, body))
    if not said:
        raise Problem(f"{server.name} answered, but with no caption: see that {MODEL} names a model that sees pictures")
    return said


def _post(server: Server, body: dict[str, Any]) -> Any:
    """What the server answers, as JSON; None for what is none. Raises Problem, none of which holds the key."""
    request = Request(
        f"{server.url}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"},
    )
    # `from None` throughout: what lies below may hold the request with its key.
    try:
        with build_opener(_Stays).open(request, timeout=PATIENCE_S) as reply:
            data = reply.read(MOST_BYTES + 1)
    except HTTPError as error:
        with error:
            raise _refused(server, error) from None
    except (TimeoutError, URLError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise Problem(
                f"{server.name} did not answer within {PATIENCE_S:g} s: try again later, or choose another captioner"
            ) from None
        raise Problem(f"{server.name} cannot be reached ({reason}): see that it runs, and {URL}") from None
    except (HTTPException, OSError, ValueError) as error:
        raise Problem(
            f"{server.name} broke off its answer ({type(error).__name__}): try again, and see {URL}"
        ) from None
    try:
        return json.loads(data) if len(data) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        return None


def _refused(server: Server, error: HTTPError) -> Problem:
    if error.code in (401, 403):  # its own words may repeat the key
        return Problem(f"{server.name} does not take the key (HTTP {error.code}): set {KEY} to one that it knows")
    if error.code == 429:
        return Problem(f"{server.name} was asked too often (HTTP 429): wait a while, then go on")
    try:
        said = " ".join(error.read(MOST_BYTES).decode(errors="replace").split())
    except (HTTPException, OSError):
        said = ""
    said = said.replace(server.key, "…")[:160] or "no reason given"
    return Problem(f"{server.name} refused (HTTP {error.code}: {said}): see {URL} and {MODEL}")


def _text(reply: Any) -> str:
    """The caption in a chat completion; "" where there is none."""
    try:
        content = reply["choices"][0]["message"]["content"]
        parts = content if isinstance(content, list) else [{"text": content}]
        return templates.one_line(" ".join(str(part["text"]) for part in parts if part.get("text")))
    except (KeyError, IndexError, TypeError, AttributeError):
        return ""
