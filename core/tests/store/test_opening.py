import pytest

from agentplat.contracts.interface import TaskFilter
from agentplat.domain.errors import SchemaOutdated, SettingsInvalid, StoreUnavailable
from agentplat.store.address import Address
from agentplat.store.connect import open_store
from agentplat.store.tables import REVISION

from .outside import execute


async def test_a_current_database_is_opened_and_answers(database_url: str) -> None:
    store = open_store(database_url)
    await store.open()
    await store.ping()
    await store.close()


@pytest.mark.parametrize(
    ("found", "said"),
    [("0000", "agentplat db upgrade"), ("9999", "A newer version of agentplat upgraded it")],
)
async def test_another_revision_is_refused_and_the_way_out_is_named(database_url: str, found: str, said: str) -> None:
    execute(database_url, "update agentplat.alembic_version_core set version_num = :revision", revision=found)
    store = open_store(database_url)
    with pytest.raises(SchemaOutdated, match=said) as refused:
        await store.open()
    assert found in refused.value.detail
    assert REVISION in refused.value.detail
    await store.close()


async def test_a_database_without_a_schema_is_refused_and_the_way_out_is_named(database_url: str) -> None:
    execute(database_url, "drop table agentplat.alembic_version_core")
    store = open_store(database_url)
    with pytest.raises(SchemaOutdated, match="agentplat db upgrade"):
        await store.open()
    await store.close()


async def test_a_table_that_vanished_is_called_so(database_url: str) -> None:
    store = open_store(database_url)
    await store.open()
    execute(database_url, "drop table agentplat.tasks")
    with pytest.raises(SchemaOutdated, match="tasks"):
        await store.tasks(TaskFilter())
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:secret@host/name",
        "postgresql+asyncpg://host/name",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "no url",
    ],
)
def test_an_address_that_is_not_supported_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        open_store(url)
    assert "secret" not in refused.value.detail


def test_an_address_does_not_show_its_password() -> None:
    assert "secret" not in repr(Address.parse("postgresql://user:secret@host/name"))


async def test_a_database_that_does_not_answer_is_unavailable_and_its_password_stays_hidden() -> None:
    store = open_store("postgresql://user:secret@/none?host=/nowhere")
    with pytest.raises(StoreUnavailable) as away:
        await store.ping()
    assert "secret" not in away.value.detail
    with pytest.raises(StoreUnavailable):
        await store.open()
    await store.close()


async def test_a_file_in_a_folder_that_does_not_exist_is_unavailable() -> None:
    store = open_store("sqlite:////nowhere/at/all.db")
    with pytest.raises(StoreUnavailable):
        await store.open()
    await store.close()
