"""The pictures of a project as examples: good parts, as a project knows of no defect in them."""

from pipelines.core import projects
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.parts.loaders.example import Example


def load(id: str, assets: Assets) -> list[Example]:
    """In the project's order. Raises Missing, and BadInput where there are none."""
    project = projects.Projects(assets.runs).get(id)
    found = [Example(assets.get(one).path, group=one) for one in project.assets]
    if not found:
        raise BadInput(f"the project {project.name} holds no picture: add some under Data", "data")
    return found
