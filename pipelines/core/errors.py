"""What can go wrong, as sentences for a person. Knows nothing of HTTP, of the CLI or of the page; they read `code`."""


class Problem(Exception):
    """A failure a person can act on: `str(error)` is one sentence that names the thing, the value and what would do."""

    code = "failed"


class BadInput(Problem, ValueError):
    """What was asked cannot be done as asked: exit code 2, HTTP 422."""

    code = "bad_input"

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class Missing(Problem, LookupError):
    """Something named is not here; the sentence says what it is and where it comes from."""

    code = "missing"


class DiskFull(Problem, OSError):
    """A write found no room. Nothing was half-written; the run waits until there is room."""

    code = "disk_full"


class Quarantined(Problem):
    """The same item has taken its worker down too often; a person decides whether to try again."""

    code = "quarantined"


class LostLease(Exception):
    """Another worker has taken the run over; this one lets go without writing anything more."""


class Cancelled(Exception):
    """A person pressed Stop; raised by `Run.tick` and by `Run.items`, confirmed by the worker."""
