"""Everything that a database says about its tables, as text that can be compared."""

from typing import Any

from sqlalchemy import Connection, text

POSTGRES = {
    "columns": """
        select table_name, column_name, data_type, is_nullable, column_default, is_identity, identity_generation
        from information_schema.columns where table_schema = 'agentplat'""",
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'agentplat'::regnamespace""",
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'agentplat'",
    "storage": """
        select relname, array_to_string(reloptions, ', '), pg_get_partkeydef(oid)
        from pg_class where relnamespace = 'agentplat'::regnamespace and relkind in ('r', 'p')""",
}
PARTITIONS = "select relname from pg_class where relnamespace = 'agentplat'::regnamespace and relispartition"
SQLITE = {
    "columns": """
        select m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
        from sqlite_master as m, pragma_table_info(m.name) as c where m.type = 'table'""",
    "indexes": "select tbl_name, name, sql from sqlite_master where type = 'index'",
}


def catalogue(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """What the database holds, without Alembic's own table, and without partitions."""
    asked = POSTGRES if connection.dialect.name == "postgresql" else SQLITE
    parts = set(connection.scalars(text(PARTITIONS))) if asked is POSTGRES else set()
    found = {}
    for name, question in asked.items():
        rows = [tuple(row) for row in connection.execute(text(question))]
        found[name] = sorted((row for row in rows if _is_ours(str(row[0]), parts)), key=repr)
    if connection.dialect.name == "sqlite":
        found["constraints"] = sorted(_sqlite_constraints(connection))
    return found


def _is_ours(table: str, parts: set[str]) -> bool:
    return "alembic" not in table and table.removeprefix("agentplat.") not in parts


def _sqlite_constraints(connection: Connection) -> list[tuple[Any, ...]]:
    """SQLite keeps them only in the text of the statement."""
    tables = connection.execute(text("select name, sql from sqlite_master where type = 'table'"))
    lines = [(name, line.strip().rstrip(",")) for name, sql in tables for line in sql.splitlines()]
    return [(name, line) for name, line in lines if line.startswith("CONSTRAINT") and "alembic" not in name]
