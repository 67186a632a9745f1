"""Settings: `agentplat.toml` of the project, overridden by `AGENTPLAT_*` variables, overridden by flags.

A nested key is written with two underscores in a variable: `AGENTPLAT_WORKER__CONCURRENCY=20`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from agentplat.contracts.stored.retention import Retention
from agentplat.domain.errors import SettingsInvalid
from agentplat.plugins.selection import SETTINGS_FILE, Selection, plugin_names, project_folder

DEFAULT_DATABASE = "sqlite:///.agentplat/agentplat.db"
_HOUR, _DAY, _YEAR = 3600, 86_400, 365 * 86_400
_HALF_A_CENTURY = 18_250  # in days: no id has a time before 1970
_TERABYTES = 16 * 2**20  # in MiB, as many as the system can count


def _database_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if scheme == "postgresql" and separator and rest:
        return url
    if scheme == "sqlite" and rest.startswith("/") and rest not in ("/", "/:memory:"):
        return url
    raise ValueError("is neither postgresql://user:password@host/name nor sqlite:///path/of/a/file")


def _queue_names(value: object) -> object:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("is neither a list of names nor names with commas")
    return tuple(dict.fromkeys(names))


QueueNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_queue_names)]
PluginNames = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(plugin_names)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(lambda value: plugin_names(value) or ())]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class IdentitySettings(Section):
    """How users are told apart without keeping who they are."""

    hash: Literal["hmac-sha256", "sha256"] = Field(
        "hmac-sha256",
        description="How a user's e-mail is hashed. `sha256` is the plain hash that older clients compute.",
    )
    key: SecretStr | None = Field(
        None,
        min_length=16,
        description="The key of `hmac-sha256`; every process must have the same. Unset, it is made and kept beside an "
        "SQLite database; PostgreSQL needs it set.",
    )


class WorkerSettings(Section):
    """How a worker takes and keeps tasks."""

    queues: QueueNames = Field(
        ("default",), description="The queues that it serves: as long as the first has tasks, those."
    )
    concurrency: int = Field(100, ge=1, le=10_000, description="How many tasks one worker owns at a time.")
    lease_seconds: float = Field(
        15, gt=0, le=_DAY, description="How long a worker that says nothing still owns its tasks."
    )
    renew_seconds: float = Field(
        4, gt=0, le=_DAY, description="How often the lease is renewed; at most half of the lease."
    )
    poll_seconds: float = Field(
        1, gt=0, le=_HOUR, description="How often an idle worker looks for tasks without being told."
    )
    step_deadline_seconds: float = Field(
        900, gt=0, le=_YEAR, description="A step that runs longer than this costs its worker process its life."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Where a worker serves its metrics, on 127.0.0.1. Default: nowhere."
    )
    drain_seconds: float = Field(25, ge=0, le=_DAY, description="How long running steps may take to end after SIGTERM.")
    spare: bool = Field(
        True, description="Whether a second process stands by, to take over at once from a worker that dies."
    )


class IsolationSettings(Section):
    """What agents and tools in a process of their own may take. Those that ask for it are isolated anyway."""

    agents: Names = Field((), description="Agents that are isolated though they do not ask for it.")
    tools: Names = Field((), description="Tools that are isolated though they do not ask for it.")
    memory_mb: int = Field(
        2048, ge=128, le=_TERABYTES, description="The address space of each process of a step, in MiB."
    )
    cpu_seconds: int = Field(300, ge=1, le=_YEAR, description="The time on a processor of each process of a step.")
    open_files: int = Field(
        256, ge=32, le=2**20, description="How many files, sockets included, each process may have open."
    )
    file_mb: int = Field(
        256, ge=0, le=_TERABYTES, description="How large a file may become that a step writes, in MiB."
    )
    environment: Names = Field(
        (), description="Variables of the worker that isolated steps see, besides the likes of `PATH` and `LANG`."
    )

    @property
    def limits(self) -> dict[str, JsonValue]:
        return self.model_dump(include={"memory_mb", "cpu_seconds", "open_files", "file_mb"})


class LogSettings(Section):
    """What is logged, and how."""

    format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json` is one object a line; `auto` is `console` on a terminal and `json` elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level that is logged.")


class RetentionSettings(Section):
    """How long what is over is kept. The workflow of a task goes with the last task that was submitted with it."""

    history_days: int | None = Field(
        None, ge=1, le=_HALF_A_CENTURY, description="Journal and calls of a task, from its end. Default: for ever."
    )
    tasks_days: int | None = Field(
        None,
        ge=7,
        le=_HALF_A_CENTURY,
        description="A task with its input and output, from its end; not shorter than its history. Default: for ever.",
    )
    submissions_days: int = Field(30, ge=7, le=_HALF_A_CENTURY, description="An idempotency key, from its first use.")
    audit_days: int | None = Field(None, ge=1, le=_HALF_A_CENTURY, description="An audit row. Default: for ever.")

    @property
    def kept(self) -> Retention:
        return Retention(
            history=self.history_days, tasks=self.tasks_days, submissions=self.submissions_days, audit=self.audit_days
        )


class Price(Section):
    """What a model costs, where the price is not known or another one was agreed."""

    input: int = Field(ge=0, description="Micro-USD per million input tokens.")
    output: int = Field(ge=0, description="Micro-USD per million output tokens.")


class Settings(BaseSettings):
    """All settings of a process. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="AGENTPLAT_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    project: Path = Field(
        default_factory=Path.cwd,
        description="The project's folder: `agents/`, `tools/`, `workflows/` and `documents/` are looked for in it. "
        "Default: the current folder.",
    )
    database_url: DatabaseUrl = Field(
        DEFAULT_DATABASE,
        repr=False,  # it may hold a password
        description="`sqlite:///path` (relative to the current folder) or `postgresql://user:password@host/name`, "
        "with `?pooled=true` behind a pooler by transaction.",
    )
    model: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*(:.+)?$",
        description="`provider:model`, or `provider` alone, for agents that name none. Default: the configured "
        "provider of highest rank.",
    )
    host: str = Field("127.0.0.1", min_length=1, description="The address that the server binds.")
    port: int = Field(8000, ge=0, le=65535, description="The port that the server binds; 0 takes a free one.")
    plugins: PluginNames = Field(
        None, description="The only plugins that may be loaded, by name; `none` is the bare core. Default: all."
    )
    plugins_deny: PluginNames = Field(None, description="Plugins that are not even imported, by name.")
    documents: Path | None = Field(
        None, description="The folder of documents to search. Default: `documents/` of the project."
    )
    reload: bool = Field(False, description="Read the project's files again when they change. `dev` does.")
    identity: IdentitySettings = Field(IdentitySettings(), description="How users are told apart.")
    worker: WorkerSettings = Field(WorkerSettings(), description="How a worker takes and keeps tasks.")
    isolation: IsolationSettings = Field(
        IsolationSettings(), description="Agents and tools in a process of their own, and what they may take."
    )
    log: LogSettings = Field(LogSettings(), description="What is logged, and how.")
    retention: RetentionSettings = Field(RetentionSettings(), description="How long what is over is kept.")
    agents: dict[str, dict[str, JsonValue]] = Field(
        {}, description="`[agents.<name>]`: configuration handed to that agent, below what its own entry says."
    )
    tools: dict[str, dict[str, JsonValue]] = Field(
        {}, description="`[tools.<name>]`: settings handed to that tool; their names are the tool's own."
    )
    prices: dict[str, Price] = Field(
        {}, description='`[prices."provider:model"]`: prices that stand in place of the known ones.'
    )

    @property
    def selection(self) -> Selection:
        """Which plugins may be imported."""
        return Selection(allow=self.plugins, deny=self.plugins_deny or ())

    @property
    def sqlite_file(self) -> Path | None:
        """The absolute path of the SQLite database; None on PostgreSQL."""
        scheme, _, path = self.database_url.partition(":///")
        return Path(path).absolute() if scheme == "sqlite" else None

    @property
    def absolute_database_url(self) -> str:
        """The URL as a process in another folder would have to say it."""
        return f"sqlite:///{self.sqlite_file}" if self.sqlite_file else self.database_url

    @property
    def documents_folder(self) -> Path | None:
        """The folder of documents, if there is one. A relative setting is below the project's folder."""
        folder = self.project / (self.documents or "documents")
        return folder if folder.is_dir() else None


def load_settings(project: Path | None = None, **flags: Any) -> Settings:
    """The settings of this process. SettingsInvalid lists all faults at once, each with its place.

    `project` is the folder of `agentplat.toml`, by default the current one. `flags` are what the command line says;
    None means that it says nothing.
    """
    folder = project_folder(os.environ, project)
    file = folder / SETTINGS_FILE
    written = _read(file)
    said = {name: value for name, value in flags.items() if value is not None}

    class FromProject(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, dict(written))

    try:
        settings = FromProject(**{"project": folder, **said})
    except ValidationError as error:
        raise _invalid(error, file, written, said) from None
    except SettingsError as error:
        raise SettingsInvalid(f"A variable cannot be read: {error}.") from None
    _check_together(settings)
    # Of the class that others know: it compares, and can be handed to another process.
    return Settings.model_construct(**dict(settings))


def _read(file: Path) -> Mapping[str, object]:
    try:
        written = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"{file} cannot be read: {error}.") from error
    if "project" in written:
        raise SettingsInvalid(f"{file}: project is the folder of this file; it cannot be set in it.")
    return written


def _check_together(settings: Settings) -> None:
    worker = settings.worker
    if worker.renew_seconds * 2 > worker.lease_seconds:
        raise SettingsInvalid(
            f"worker.renew_seconds ({worker.renew_seconds:g}) must be at most half of worker.lease_seconds "
            f"({worker.lease_seconds:g}), so that one lost renewal does not lose the lease."
        )
    _check_retention(settings.retention)
    if settings.documents is not None and settings.documents_folder is None:
        raise SettingsInvalid(f"documents: there is no folder {settings.project / settings.documents}.")


def _check_retention(retention: RetentionSettings) -> None:
    """A key must not stand for a task that is gone, nor history belong to none."""
    if retention.tasks_days is None:
        return
    for name, days in (("history_days", retention.history_days), ("submissions_days", retention.submissions_days)):
        if days is not None and days > retention.tasks_days:
            raise SettingsInvalid(
                f"retention.{name} ({days}) must not be longer than retention.tasks_days ({retention.tasks_days})."
            )


def _invalid(
    error: ValidationError, file: Path, written: Mapping[str, object], flags: Mapping[str, object]
) -> SettingsInvalid:
    """One error for all faults, each with its place and the nearest known key; never with a value."""
    faults = [
        _line(fault["loc"], fault["type"], fault["msg"], file, written, flags)
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return SettingsInvalid("The settings cannot be used:\n" + "\n".join(faults))


def _line(
    loc: tuple[int | str, ...],
    kind: str,
    message: str,
    file: Path,
    written: Mapping[str, object],
    flags: Mapping[str, object],
) -> str:
    keys = [str(key) for key in loc]
    match kind:
        case "extra_forbidden":
            known = _keys_beside(keys)
            nearest = get_close_matches(keys[-1], known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
            message = f"no setting has this name; {hint}"
        case "missing":
            message = f"{keys.pop()!r} is missing"
        case "value_error":
            message = message.removeprefix("Value error, ")
    return f"{_place(keys, file, written, flags)}: {message}"


def _place(keys: list[str], file: Path, written: Mapping[str, object], flags: Mapping[str, object]) -> str:
    if keys[0] in flags:
        return f"--{keys[0].replace('_', '-')}"
    found: object = written
    for key in keys:
        if isinstance(found, list | tuple):
            break
        if not isinstance(found, Mapping) or key not in found:
            return "AGENTPLAT_" + "__".join(keys).upper()
        found = found[key]
    return f"{file}: {'.'.join(keys)}"


def _keys_beside(keys: list[str]) -> list[str]:
    """The names that are known at the place of the last key."""
    model: type[BaseModel] = Settings
    for key in keys[:-1]:
        field = model.model_fields.get(key)
        if field is None:
            continue  # the free name of a table, as in `prices."provider:model"`
        candidates = (field.annotation, *get_args(field.annotation))
        model = next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return sorted(set(model.model_fields) - {"project"})
