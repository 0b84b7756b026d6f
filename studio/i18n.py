"""The page's words in each language. Knows files of words; nothing of who shows them.

`locales/<code>/<area>.toml` holds the words of an area: flat keys, or tables. Some English words live elsewhere (kinds
of defect, presets, the help of a request's fields); the other languages have them in areas of the same make (`kinds`,
`presets`, `help` ...). What a language lacks is said in English.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "locales"
ENGLISH = "en"
NAMES = {"en": "English", "zh-CN": "简体中文", "zh-TW": "繁體中文", "ja": "日本語"}
COOKIE = "flawsmith-language"
SENTENCES = "sentences"
_HOLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Language:
    """One language's words. `say("paint.generate")`: area, then the key in it."""

    code: str

    @cached_property
    def _areas(self) -> Mapping[str, Mapping[str, Any]]:
        return _read(FOLDER / self.code)

    def __call__(self, key: str, **values: Any) -> str:
        """The words under `area.key`, {names} filled in. Raises KeyError for a key that English lacks too."""
        found = _find(self._areas, key)
        if found is None and self.code != ENGLISH:
            found = _find(language(ENGLISH)._areas, key)
        if not isinstance(found, str):
            raise KeyError(f"locales/{ENGLISH} has no words under {key!r}")
        return found.format(**values) if values else found

    def table(self, area: str) -> dict[str, Any]:
        """All words of an area, as a widget takes them. Raises KeyError for an area that English lacks."""
        english = language(ENGLISH)._areas
        if area not in english:
            raise KeyError(f"locales/{ENGLISH} has no {area}.toml")
        return {**english[area], **self._areas.get(area, {})}

    def count(self, key: str, n: int, **values: Any) -> str:
        """The words for `n` things: `key_one` for one, else `key`; {n} is written with thousands separators."""
        one = f"{key}_one"
        return self(one if n == 1 and self._has(one) else key, n=f"{n:,}", **values)

    def _has(self, key: str) -> bool:
        return _find(self._areas, key) is not None

    def data(self, key: str, english: str) -> str:
        """Words whose English lives outside the locales (a kind of defect, a preset, a field's help)."""
        found = _find(self._areas, key)
        return found if isinstance(found, str) else english

    def sentence(self, text: str) -> str:
        """A sentence of the core in this language, where it is known: matched by its English template."""
        for template, words in self._sentences:
            match = template.fullmatch(text)
            if match:
                return words.format(**{name: self.sentence(found) for name, found in match.groupdict().items()})
        return text

    @cached_property
    def _sentences(self) -> list[tuple[re.Pattern[str], str]]:
        """The template that says most itself is asked first."""
        table = self._areas.get(SENTENCES, {})
        known = sorted(table.items(), key=lambda item: -len(_HOLE.sub("", item[0])))
        return [(pattern(english), words) for english, words in known]


def pattern(template: str) -> re.Pattern[str]:
    """What matches a sentence made from a template such as `there is no file {name}: upload it`."""
    parts = _HOLE.split(template)  # literal, name, literal, name, ..., literal
    spelled = [re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)" for place, part in enumerate(parts)]
    return re.compile("".join(spelled), re.DOTALL)


@cache
def language(code: str = ENGLISH) -> Language:
    """The language of that code. Raises KeyError for one there is not."""
    if code not in codes():
        raise KeyError(f"no language {code!r}; there is {', '.join(codes())}")
    return Language(code)


@cache
def codes() -> tuple[str, ...]:
    """The languages there are, English first."""
    return tuple(code for code in NAMES if (FOLDER / code).is_dir())


def best(chosen: str | None, accepted: str) -> str:
    """Which language to greet with: the one chosen before, else the first that the browser's Accept-Language names."""
    if chosen in codes():
        return chosen
    for wanted in _by_preference(accepted):
        found = _nearest(wanted)
        if found:
            return found
    return ENGLISH


def split(path: str) -> tuple[str | None, str]:
    """The language an address begins with, and the rest: `/ja/config` -> ja, /config. English begins with none."""
    first, _, rest = path.removeprefix("/").partition("/")
    return (first, f"/{rest}") if first in codes() and first != ENGLISH else (None, path)


def _by_preference(accepted: str) -> Iterable[str]:
    """`ja,en;q=0.7` -> ja, en; what is malformed counts least."""
    weighed = []
    for place, part in enumerate(accepted.split(",")[:20]):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        weighed.append((-weight, place, name.strip().lower()))
    return [name for _, _, name in sorted(weighed)]


def _nearest(wanted: str) -> str | None:
    """`zh-hk` is written as zh-TW is, any other `zh` as zh-CN is; otherwise the language counts, not the country."""
    tongue, *rest = wanted.split("-")
    traditional = {"tw", "hk", "mo", "hant"}
    code = ("zh-TW" if traditional & set(rest) else "zh-CN") if tongue == "zh" else tongue
    return code if code in codes() else None


def _find(areas: Mapping[str, Any], key: str) -> Any:
    area, _, rest = key.partition(".")
    found: Any = areas.get(area)
    while rest and isinstance(found, Mapping):
        if rest in found:  # a key may itself hold a point, as file names do
            return found[rest]
        first, _, rest = rest.partition(".")
        found = found.get(first)
    return None if rest else found


@cache
def _read(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))}
