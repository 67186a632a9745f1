"""Names and files that follow from each other, in every distribution and in the root's configuration."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from .tree import distributions

Table = dict[str, Any]
PLUGIN_KINDS = {"agent", "auth", "guard", "interface", "llm", "strategy", "tool"}
# Written in pieces, so that this file does not hold what it looks for.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
        ("files", "pythonhosted"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:(?:root|work)\b(?![-.])|(?:home|Users)/(?=\w))")


def toml(path: Path) -> Table:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def names_of(folder: Path) -> tuple[str, str, str | None]:
    """The distribution, import and entry point name that follow from a folder."""
    name = folder.name
    import_name = "agentplat" if name == "core" else f"agentplat_{name.replace('-', '_')}"
    entry_point = None if name == "core" else name
    return f"agentplat-{name}", import_name, entry_point


def misnamed(root: Path) -> list[str]:
    """Distributions whose names or required files do not follow from their folder."""
    meta = toml(root / "pyproject.toml")
    found = []
    for folder in distributions(root):
        distribution, import_name, entry_point = names_of(folder)
        settings = toml(root / folder / "pyproject.toml")
        project = settings["project"]
        package = root / folder / "src" / import_name
        wanted_entry = {entry_point: f"{import_name}.plugin"} if entry_point else None
        checks = {
            f"is not called {distribution}": project["name"] == distribution,
            "has another version than the root": project["version"] == meta["project"]["version"],
            "has another requires-python": project["requires-python"] == meta["project"]["requires-python"],
            f"does not build src/{import_name}": _built(settings) == [f"src/{import_name}"],
            f"lacks src/{import_name}/__init__.py": (package / "__init__.py").exists(),
            f"lacks src/{import_name}/py.typed": (package / "py.typed").exists(),
            "lacks README.md": (root / folder / "README.md").exists(),
            f"has not the entry point {wanted_entry}": project.get("entry-points", {}).get("agentplat") == wanted_entry,
            "has another folder under src/": [p.name for p in sorted((root / folder / "src").iterdir()) if p.is_dir()]
            == [import_name],
            f"is not of a kind: {sorted(PLUGIN_KINDS)}": folder.parent.name != "plugins"
            or folder.name.split("-")[0] in PLUGIN_KINDS,
        }
        found += [f"{folder} {fault}" for fault, is_right in checks.items() if not is_right]
    return found


def _built(settings: Table) -> list[str]:
    packages: list[str] = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return packages


def unlisted(root: Path) -> list[str]:
    """Distributions that a list of the root's pyproject.toml forgot."""
    settings = toml(root / "pyproject.toml")
    tool = settings["tool"]
    contracts = {contract["id"]: contract for contract in tool["importlinter"]["contracts"]}
    required = {re.split(r"[\[<>=!~; ]", line)[0] for line in settings["project"]["dependencies"]}
    found = []
    for folder in distributions(root):
        distribution, import_name, entry_point = names_of(folder)
        is_plugin = folder.parent.name == "plugins"
        lists = {
            "tool.uv.sources": distribution in tool["uv"]["sources"],
            "tool.mypy.mypy_path": f"/{folder}/src" in tool["mypy"]["mypy_path"],
            "tool.importlinter.root_packages": import_name in tool["importlinter"]["root_packages"],
            "contract acyclic": import_name in contracts["acyclic"]["ancestors"],
            "project.dependencies": distribution in required or folder.name == "testkit",
            "contract plugins-do-not-know-each-other": not entry_point
            or import_name in contracts["plugins-do-not-know-each-other"]["modules"],
            "contract plugins-see-public-names-only": not is_plugin
            or import_name in contracts["plugins-see-public-names-only"]["source_modules"],
        }
        found += [f"{folder} is not in {name}" for name, is_listed in lists.items() if not is_listed]
    return found


def tracked_files(root: Path) -> list[Path]:
    """What the repository holds, relative to its root."""
    # The checkout may belong to another user than the one who tests it.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (root / name).is_file()]


def leaked_places(root: Path, files: list[Path]) -> list[str]:
    """Addresses of package registries, and paths of the machine that somebody worked on."""
    found = []
    for path in files:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        for number, line in enumerate(text.splitlines(), 1):
            places = [host for host in HOSTS if host in line] + MACHINE_PATH.findall(line)
            found += [f"{path}:{number}: {place}" for place in places]
    unwanted = {"uv.lock", ".python-version", "package-lock.json"} & {path.name for path in files}
    return found + [f"{name} holds addresses or versions of one machine" for name in sorted(unwanted)]
