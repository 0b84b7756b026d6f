"""Packs a project into a ZIP or a folder that can be moved and opened again. Knows the order of the work."""

from pathlib import Path

from pipelines.core.models import Models
from pipelines.core.projects import Projects
from pipelines.core.requests.pack import Pack
from pipelines.core.runs import Run
from pipelines.parts import packed, targets

OUTPUT = "project.zip"


def run(request: Pack, run: Run, models: Models) -> None:
    """Write everything, whole or not at all. The result names the file and counts. Raises Missing, DiskFull."""
    store = Projects(run.assets.runs)
    project, pictures = store.get(request.project), store.records(request.project).page()
    path = run.folder / OUTPUT if request.output is None else Path(request.output)
    for index in run.items(1):
        written: set[str] = set()
        size = sum(run.assets.get(one.asset).bytes for one in pictures)
        with targets.opened(path, run.id, size) as target:
            lines = []
            for done, record in enumerate(pictures, 1):
                line, held = packed.of(record, run.assets)
                lines.append(line)
                for asset in held:
                    if asset.id not in written:
                        written.add(asset.id)
                        target.add(packed.file(asset), asset.path.read_bytes())
                draft = store.draft(project.id, record.asset)
                if draft is not None:
                    target.add(f"{packed.DRAFTS}/{record.asset}.json", draft)
                run.tick(done, len(pictures), f"picture {done} of {len(pictures)}")
            target.add(packed.PICTURES, b"".join(line + b"\n" for line in lines))
            target.add(packed.PROJECT, packed.about(project))
        run.commit(index, {"files": len(written)})
    run.finish(
        {
            "output": path.name if request.output is None else str(path),
            "project": project.id,
            "images": len(pictures),
            "bytes": sum(one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*"))),
        }
    )
