from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, SecretStr

from agentplat.contracts.stored.retention import Retention
from agentplat.domain.errors import SettingsInvalid
from agentplat.plugins.selection import Selection
from agentplat.runtime.identity_key import identity_key
from agentplat.runtime.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, and an environment that says nothing."""
    for name in os.environ:
        if name.startswith("AGENTPLAT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, text: str) -> None:
    (project / "agentplat.toml").write_text(text, encoding="utf-8")


def test_an_empty_folder_has_the_defaults(project: Path) -> None:
    settings = load_settings()

    assert settings.project == project
    assert settings.database_url == "sqlite:///.agentplat/agentplat.db"
    assert settings.sqlite_file == project / ".agentplat" / "agentplat.db"
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8000, None)
    assert (settings.worker.concurrency, settings.worker.lease_seconds, settings.worker.renew_seconds) == (100, 15, 4)
    assert settings.selection == Selection()
    assert settings.documents_folder is None


def test_flags_stand_above_variables_above_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, 'host = "file"\nport = 1\nmodel = "file"\n[worker]\nconcurrency = 7\npoll_seconds = 2\n')
    monkeypatch.setenv("AGENTPLAT_HOST", "variable")
    monkeypatch.setenv("AGENTPLAT_PORT", "2")
    monkeypatch.setenv("AGENTPLAT_WORKER__CONCURRENCY", "9")

    settings = load_settings(port=3, model=None)

    assert (settings.model, settings.host, settings.port) == ("file", "variable", 3)
    assert (settings.worker.concurrency, settings.worker.poll_seconds) == (9, 2)


def test_unless_told_otherwise_everything_but_keys_is_kept_for_ever() -> None:
    assert load_settings().retention.kept == Retention(history=None, tasks=None, submissions=30, audit=None)


def test_retention_is_said_in_days(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "[retention]\nhistory_days = 30\ntasks_days = 365\nsubmissions_days = 7\n")
    monkeypatch.setenv("AGENTPLAT_RETENTION__AUDIT_DAYS", "3650")

    assert load_settings().retention.kept == Retention(history=30, tasks=365, submissions=7, audit=3650)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("submissions_days = 6", "retention.submissions_days"),
        ("history_days = 0", "retention.history_days"),
        (
            "history_days = 60\ntasks_days = 30",
            r"history_days \(60\) must not be longer than retention.tasks_days \(30\)",
        ),
        ("tasks_days = 14", r"submissions_days \(30\) must not be longer than retention.tasks_days \(14\)"),
    ],
)
def test_a_retention_that_would_leave_something_without_its_task_is_refused(
    project: Path, written: str, said: str
) -> None:
    write(project, f"[retention]\n{written}\n")

    with pytest.raises(SettingsInvalid, match=said):
        load_settings()


ENDLESS = {
    "worker": ("lease_seconds", "renew_seconds", "poll_seconds", "step_deadline_seconds", "drain_seconds"),
    "retention": ("history_days", "tasks_days", "submissions_days", "audit_days"),
    "isolation": ("memory_mb", "cpu_seconds", "open_files", "file_mb"),
}


@pytest.mark.parametrize("value", ["inf", "nan", "1e300", "1e12", "10000000000"])
@pytest.mark.parametrize("section", ENDLESS)
def test_a_number_that_leads_out_of_the_calendar_or_the_machine_is_refused(
    section: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the bound, where it is a number at all: a worker would register with it, and nobody could sweep."""
    for name in ENDLESS[section]:
        monkeypatch.setenv(f"AGENTPLAT_{section}__{name}".upper(), value)

    with pytest.raises(SettingsInvalid) as caught:
        load_settings()

    said = caught.value.detail.splitlines()[1:]
    assert [line.partition(":")[0] for line in said] == [
        f"AGENTPLAT_{section}__{name}".upper() for name in ENDLESS[section]
    ]
    if value == "10000000000":
        assert all("less than or equal to" in line for line in said)


def test_no_number_among_the_settings_is_without_bounds() -> None:
    def unbounded(model: type[BaseModel], at: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            kinds = {field.annotation, *get_args(field.annotation)}
            if kinds & {int, float} and not any(hasattr(bound, "le") for bound in field.metadata):
                yield at + name
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from unbounded(field.annotation, f"{at}{name}.")

    assert list(unbounded(Settings)) == []


def test_the_project_may_be_another_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = project / "other"
    (other / "documents").mkdir(parents=True)
    write(other, "port = 5")

    assert load_settings(other).port == 5
    monkeypatch.setenv("AGENTPLAT_PROJECT", "other")
    assert load_settings().documents_folder == other / "documents"


def test_a_folder_of_documents_is_looked_for_below_the_project(project: Path) -> None:
    (project / "papers").mkdir()
    write(project, 'documents = "papers"')

    assert load_settings().documents_folder == project / "papers"


def test_agents_and_tools_have_tables_of_their_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, '[tools.web_search]\ncount = 3\nsafe = true\n[agents.research]\nmodel = "x:y"\n')
    monkeypatch.setenv("AGENTPLAT_TOOLS__WEB_SEARCH__COUNTRY", "dk")

    settings = load_settings()

    assert settings.tools == {"web_search": {"count": 3, "safe": True, "country": "dk"}}
    assert settings.agents == {"research": {"model": "x:y"}}


def test_a_price_may_be_given_by_model(project: Path) -> None:
    write(project, '[prices."openrouter:a/b:free"]\ninput = 150000\noutput = 600000\n')

    price = load_settings().prices["openrouter:a/b:free"]

    assert (price.input, price.output) == (150_000, 600_000)


@pytest.mark.parametrize(
    ("text", "allow"), [("none", ()), ("a, b", ("a", "b")), ("a", ("a",)), ("", None), (",", None)]
)
def test_plugins_are_named_with_commas(
    text: str, allow: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPLAT_PLUGINS", text)

    assert load_settings().selection.allow == allow


def test_plugins_may_be_a_list_in_the_file(project: Path) -> None:
    write(project, 'plugins = []\nplugins_deny = ["x"]')

    assert load_settings().selection == Selection(allow=(), deny=("x",))


def test_all_faults_are_told_at_once_each_with_its_place(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / "agentplat.toml"
    write(
        project,
        "prot = 1\nplugins = 3\n[worker]\nconcurency = 3\nconcurrency = 0\n"
        '[log]\nlevel = "loud"\n[prices."a:b"]\ninput = 1\noutptu = 2\n[wholly_unknown]\nx = 1\n',
    )
    monkeypatch.setenv("AGENTPLAT_WORKER__POL_SECONDS", "1")
    monkeypatch.setenv("AGENTPLAT_DATABASE_URL", "mysql://me:secret@host/db")

    with pytest.raises(SettingsInvalid) as caught:
        load_settings(port="many")

    known = sorted(set(Settings.model_fields) - {"project"})
    assert set(caught.value.detail.splitlines()[1:]) == {
        "--port: Input should be a valid integer, unable to parse string as an integer",
        "AGENTPLAT_DATABASE_URL: is neither postgresql://user:password@host/name nor sqlite:///path/of/a/file",
        "AGENTPLAT_WORKER__POL_SECONDS: no setting has this name; did you mean 'poll_seconds'?",
        f"{file}: plugins: is neither a list of names, nor names with commas, nor 'none'",
        f"{file}: worker.concurrency: Input should be greater than or equal to 1",
        f"{file}: worker.concurency: no setting has this name; did you mean 'concurrency'?",
        f"{file}: log.level: Input should be 'debug', 'info', 'warning' or 'error'",
        f"{file}: prices.a:b: 'output' is missing",
        f"{file}: prices.a:b.outptu: no setting has this name; did you mean 'output'?",
        f"{file}: prot: no setting has this name; did you mean 'port'?",
        f"{file}: wholly_unknown: no setting has this name; known are {', '.join(known)}",
    }


def test_variables_that_are_no_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTPLAT_TEST_POSTGRES_URL", "postgresql://x")

    assert load_settings().database_url.startswith("sqlite")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "postgresql://", "x"])
def test_a_database_that_cannot_be_shared_by_processes_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="--database-url: is neither"):
        load_settings(database_url=url)


def test_a_broken_file_is_named_with_its_line(project: Path) -> None:
    write(project, "host = \n")

    with pytest.raises(SettingsInvalid, match=r"agentplat\.toml cannot be read: .*line 1"):
        load_settings()


def test_a_lease_must_outlive_a_lost_renewal(project: Path) -> None:
    write(project, "[worker]\nrenew_seconds = 10")

    with pytest.raises(SettingsInvalid, match=r"at most half of worker\.lease_seconds"):
        load_settings()


def test_settings_show_no_secret_and_can_be_handed_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTPLAT_IDENTITY__KEY", "0123456789abcdef")

    settings = load_settings(database_url="postgresql://me:hush@host/db")

    assert "0123456789abcdef" not in repr(settings)
    assert "hush" not in repr(settings)
    assert settings.sqlite_file is None
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_every_setting_is_described() -> None:
    def undescribed(model: type[BaseModel], at: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            if not field.description:
                yield at + name
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from undescribed(field.annotation, f"{at}{name}.")

    assert list(undescribed(Settings)) == []


def test_the_key_of_hashes_is_made_once_beside_sqlite_for_its_owner_only(project: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: identity_key(load_settings()), range(8)))

    file = project / ".agentplat" / "identity.key"
    assert keys == {file.read_bytes()}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["identity.key"]


def test_the_key_of_hashes_must_be_set_on_postgresql() -> None:
    url = "postgresql://host/db"

    with pytest.raises(SettingsInvalid, match="AGENTPLAT_IDENTITY__KEY"):
        identity_key(load_settings(database_url=url))

    assert identity_key(load_settings(database_url=url, identity={"hash": "sha256"})) is None
    assert identity_key(load_settings(database_url=url, identity={"key": SecretStr("k" * 16)})) == b"k" * 16


def test_a_key_file_without_a_key_is_refused(project: Path) -> None:
    (project / ".agentplat").mkdir()
    (project / ".agentplat" / "identity.key").write_text("\n")

    with pytest.raises(SettingsInvalid, match="holds no key"):
        identity_key(load_settings())


def test_a_short_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTPLAT_IDENTITY__KEY", "short")

    with pytest.raises(SettingsInvalid, match="AGENTPLAT_IDENTITY__KEY: ") as caught:
        load_settings()

    assert "short" not in caught.value.detail.replace("too_short", "")


def test_a_folder_of_documents_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"there is no folder .*misspelt"):
        load_settings(tmp_path, documents=Path("misspelt"))


def test_who_is_isolated_can_be_said_in_a_variable(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, '[isolation]\ntools = ["one"]\nmemory_mb = 512\n')
    monkeypatch.setenv("AGENTPLAT_ISOLATION__AGENTS", "two, three")

    isolation = load_settings().isolation

    assert (isolation.tools, isolation.agents, isolation.environment) == (("one",), ("two", "three"), ())
    assert isolation.limits == {"memory_mb": 512, "cpu_seconds": 300, "open_files": 256, "file_mb": 256}
