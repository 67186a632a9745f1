"""`agentplat init`: the skeleton of a project, which works at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from agentplat import InputRejected

_SKELETON = Path(__file__).parent / "project"


def init(folder: Annotated[Path, typer.Argument(help="The project's folder; . is the current one.")]) -> None:
    """Write a project: an agent, a tool, a workflow that uses them, settings. Overwrites nothing."""
    names = [path.relative_to(_SKELETON) for path in sorted(_SKELETON.rglob("*")) if _belongs(path)]
    taken = [str(name) for name in names if (folder / name).exists()]
    if taken:
        raise InputRejected("The folder", [("", f"has {', '.join(taken)} already, and nothing is overwritten")])
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_SKELETON / name, folder / name)
        typer.echo(f"Written: {folder / name}")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    typer.echo(f"""Next: {enter}agentplat run workflow:hello --input '{{"name": "Ada"}}', or agentplat dev.""")


def _belongs(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
