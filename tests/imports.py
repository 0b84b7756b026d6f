"""Reads from the source which file imports what. Imports nothing of it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = ("app", "studio", "pipelines", "bench", "tests")


@dataclass(frozen=True)
class Import:
    """One imported module, and whether it is imported as soon as its file is."""

    file: str
    line: int
    module: str
    at_import: bool

    @property
    def top(self) -> str:
        return self.module.split(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_imports(path: Path) -> Iterator[Import]:
    """Every import of a file, also inside functions; `from a import b` counts as a.b where b is a module of ours."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    package = module_name(path).split(".") if path.stem == "__init__" else module_name(path).split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (start, node.module or "") if part)
            modules = [f"{base}.{alias.name}" if is_ours(f"{base}.{alias.name}") else base for alias in node.names]
        else:
            continue
        for module in sorted(set(modules)):
            yield Import(str(path.relative_to(ROOT)), node.lineno, module, id(node) not in late)


def is_ours(module: str) -> bool:
    place = ROOT.joinpath(*module.split("."))
    return module.split(".")[0] in OURS and (place.is_dir() or place.with_suffix(".py").is_file())


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*found, ROOT / "app.py"] if "app" in folders else found


def all_imports(*folders: str) -> list[Import]:
    return [found for path in sources(*folders) for found in read_imports(path)]
