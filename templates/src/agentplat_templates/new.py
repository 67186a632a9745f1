"""`agentplat new`: a plugin package, rendered from the template of its kind."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from agentplat import InputRejected

_KINDS = Path(__file__).parent / "kinds"
KINDS = tuple(sorted(place.name for place in _KINDS.iterdir() if (place / "cookiecutter.json").is_file()))
"""A kind is a folder with a cookiecutter template."""
_NAME = re.compile(r"[a-z]+[a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 40


def new(
    kind: Annotated[str, typer.Argument(help=f"What it offers: {', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits and _, as in word_counter.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where the package's folder is made.")] = Path(),
) -> None:
    """Write a plugin package of your own, complete with tests.

    It installs, passes its tests and runs as it is.
    """
    if kind not in KINDS:
        raise InputRejected("The kind", [("", f"{kind!r} is not one of {', '.join(KINDS)}")])
    _check_name(kind, name)
    package = render(kind, name, folder)
    typer.echo(f"Written: {package}")
    for file in sorted(path for path in package.rglob("*") if path.is_file()):
        typer.echo(f"  {file.relative_to(package)}")
    typer.echo(f"Next: pip install -e '{package}[test]', then `pytest {package}` and `agentplat plugins`.")


def render(kind: str, name: str, folder: Path) -> Path:
    """The package's folder, which is new. InputRejected when there is one already."""
    from importlib.metadata import version

    from cookiecutter.generate import generate_context, generate_files
    from cookiecutter.prompt import prompt_for_config

    template = _KINDS / kind
    given = {"name": name, "agentplat_version": version("agentplat-core")}
    context: dict[str, Any] = generate_context(str(template / "cookiecutter.json"), extra_context=given)
    values = prompt_for_config(context, no_input=True)
    package = folder / str(values["folder"])
    if package.exists():
        raise InputRejected("The name", [("", f"{str(package)!r} is there already, and nothing is overwritten")])
    generate_files(str(template), {"cookiecutter": values}, str(folder), accept_hooks=False)
    return package


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        reason = f"{name!r} is not made of small letters, digits and single _, beginning with a letter"
        raise InputRejected("The name", [("", f"{reason}, at most {_LONGEST} of them")])
    from agentplat.plugins.host import load_plugins
    from agentplat.plugins.selection import project_folder, read_selection

    installed = load_plugins(read_selection(project_folder(os.environ), os.environ)).registries
    known = getattr(installed, f"{kind}s")
    if name in known:
        raise InputRejected(
            "The name", [("", f"{name!r} is offered by {known.offer(name).origin} already, and two would be rejected")]
        )
