"""What stands in the database, to be compared before and after: nothing changes on GET, nothing is stored on a no."""

from typing import Any

import sqlalchemy as sa

from portal.core.database import metadata, session

Contents = dict[str, list[tuple[Any, ...]]]


def contents() -> Contents:
    """Every row of every table."""
    session.rollback()
    found = {
        table.name: [tuple(row) for row in session.execute(sa.select(table).order_by(*table.primary_key.columns))]
        for table in metadata.sorted_tables
    }
    session.rollback()
    return found


def changes(before: Contents, after: Contents, *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What differs, by table; `but`: tables, or columns as `table.column`, that may."""
    found: dict[str, Any] = {}
    for name, rows in before.items():
        if name in but:
            continue
        hidden = [
            number for number, column in enumerate(metadata.tables[name].columns) if f"{name}.{column.name}" in but
        ]
        old, new = (
            {tuple("" if number in hidden else repr(cell) for number, cell in enumerate(row)) for row in side}
            for side in (rows, after[name])
        )
        if old != new:
            found[name] = {"gone": sorted(old - new), "new": sorted(new - old)}
    return found


class Unchanged:
    """`with Unchanged():` fails if anything in the database is another afterwards."""

    def __init__(self, *but: str) -> None:
        self.but = frozenset(but)

    def __enter__(self) -> None:
        self.before = contents()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            found = changes(self.before, contents(), but=self.but)
            assert not found, f"changed: {found}"


SEEN = ("sign_ins.last_seen_at", "api_keys.used_at")
"""When somebody was last seen: the one thing that reading writes down, besides clicks."""
