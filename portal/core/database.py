"""The database: one session, one way to write, the types of columns, and the words by which it says no.

Invariants: a write happens inside `writing()`, which commits once or leaves nothing; whole-number columns hold
whole numbers on SQLite too; append-only tables refuse UPDATE, DELETE, REPLACE and TRUNCATE by trigger.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import reduce, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, CheckConstraint, DateTime, Integer, MetaData, String, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.schema import DDL
from sqlalchemy.types import TypeDecorator

Built = TypeVar("Built")

Key = BigInteger().with_variant(Integer, "sqlite")
"""Row numbers: 64 bits on PostgreSQL; on SQLite only INTEGER can number itself."""


class Moment(TypeDecorator[datetime]):
    """An aware UTC moment. SQLite keeps it as text that sorts; a naive datetime is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place here")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A small document kept as text, the same letters on both databases."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class _Declared(DeclarativeBase):
    # On a registry of its own: Flask-SQLAlchemy 3.1 fails with a type_annotation_map on the base.
    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(column_0_N_label)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={datetime: Moment, int: BigInteger, str: String},
    )


@event.listens_for(Table, "after_parent_attach")
def _never_reuse_row_numbers(table: Table, _parent: Any) -> None:
    # SQLite alone would give the number of a deleted row to the next one; PostgreSQL's sequences never do.
    table.dialect_options["sqlite"]["autoincrement"] = table.dialect_options["sqlite"]["with_rowid"]


db = SQLAlchemy(model_class=_Declared)
session = db.session

if TYPE_CHECKING:
    Model = _Declared
else:
    Model = db.Model

metadata = _Declared.registry.metadata


def key() -> Mapped[int]:
    """The column of row numbers."""
    return mapped_column(Key, primary_key=True)


def refers_to(column: str, *, index: bool = True) -> Any:
    """A foreign key, indexed, without cascades: nothing disappears with something else."""
    return mapped_column(Key, sa.ForeignKey(column), index=index)


def rule(condition: str, name: str) -> CheckConstraint:
    """A CHECK named like the rule it keeps."""
    return CheckConstraint(condition, name=name)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """A CHECK that a column holds one of the words of a StrEnum."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def whole(*columns: str, name: str = "whole_numbers") -> CheckConstraint:
    """On SQLite, where an INTEGER column takes 'abc': a CHECK that these columns hold whole numbers or nothing.

    `name`: for columns that came later, each with a CHECK of its own.
    """
    parts = " AND ".join(f"typeof({column}) IN ('integer', 'null')" for column in columns)
    return CheckConstraint(parts, name=name).ddl_if(dialect="sqlite")


def once(*columns: str, where: str | None = None, name: str | None = None) -> Any:
    """A UNIQUE rule; with `where`, only among the rows for which it holds."""
    if where is None:
        return sa.UniqueConstraint(*columns, name=name)
    return sa.Index(name, *columns, unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
"""


def append_only(model: type[Any]) -> None:
    """Declares the triggers by which a table refuses every change but INSERT, on both databases."""
    table: Table = model.__table__
    name = table.name
    for verb in ("UPDATE", "DELETE"):
        trigger = f"CREATE TRIGGER {name}_refuses_{verb.lower()} BEFORE {verb} ON {name}"
        body = f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
        event.listen(table, "after_create", DDL(f"{trigger} {body}").execute_if(dialect="sqlite"))
    postgres = (
        _REFUSE_CHANGE,
        f"CREATE TRIGGER {name}_refuses_change BEFORE UPDATE OR DELETE ON {name} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {name}_refuses_truncate BEFORE TRUNCATE ON {name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )
    for statement in postgres:
        event.listen(table, "after_create", DDL(statement).execute_if(dialect="postgresql"))


# --- connecting -----------------------------------------------------------------------------------------------


PATIENCE_S = 10
"""So long a write waits for others before it gives up."""


NOT_FOR_EVER = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""A PostgreSQL whose machine vanishes says nothing: its connections are given up after 25 seconds (15 with something
under way, here in milliseconds), and not after the hours that systems wait."""


def engine_options(url: str, *, quick: bool = False) -> dict[str, Any]:
    """How an engine connects. `quick`: for the clicks, which commit each statement by themselves (see `Quick`)."""
    plain: dict[str, Any] = {"url": url, "hide_parameters": True}  # an error's text goes to the logs, a row does not
    if url.startswith("sqlite"):
        connect: dict[str, Any] = {"isolation_level": None, "check_same_thread": False, "timeout": PATIENCE_S}
        if quick:
            return plain | {"poolclass": NullPool, "connect_args": connect}
        return plain | {"poolclass": QueuePool, "pool_size": 16, "max_overflow": 48, "pool_timeout": 15,
                "connect_args": connect}  # fmt: skip
    # Compiling a report's query takes longer than running it: no jit. The start of helpers takes 15 ms: few of them.
    options = "-c lock_timeout=10s -c statement_timeout=60s -c jit=off -c parallel_setup_cost=20000 -c timezone=UTC"
    connect = {"connect_timeout": 5, "options": options} | NOT_FOR_EVER
    if quick:
        patience = "-c lock_timeout=5s -c statement_timeout=5s -c timezone=UTC"
        return plain | {"poolclass": NullPool, "connect_args": connect | {"options": patience, "autocommit": True}}
    return plain | {"pool_size": 8, "max_overflow": 24, "pool_timeout": 15, "pool_pre_ping": True,
            "connect_args": connect}  # fmt: skip


def prepare(engine: Engine, *, quick: bool = False) -> None:
    """Gives an engine's connections their manners."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def pragmas(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in (
            "secure_delete=ON",  # what is deleted is overwritten: an erased person is nowhere in the file
            "journal_mode=WAL",
            f"busy_timeout={5000 if quick else PATIENCE_S * 1000}",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # else INSERT OR REPLACE rewrites a transfer past its trigger
            f"synchronous={'NORMAL' if quick else 'FULL'}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    if not quick:
        # The stock driver begins late and of itself; begun by us, a savepoint and a lock mean what they say.
        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            immediate = connection.get_execution_options().get("writing")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


# --- writing --------------------------------------------------------------------------------------------------


@contextmanager
def writing() -> Iterator[None]:
    """One write: everything inside is committed together, or nothing is.

    Ends the read before it, so that what is looked up inside is looked up under the lock (SQLite: BEGIN
    IMMEDIATE). Do slow work (hashing, rendering) before. Objects loaded earlier are read afresh.
    """
    if session.info.get("writing"):
        raise RuntimeError("a write is open already: the edge opens one, the verbs work inside it")
    session.rollback()
    with _turn():
        session.connection(execution_options={"writing": True})
        session.info["writing"] = True
        try:
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info.pop("writing", None)


def let_go() -> None:
    """Ends what was read, as a request does when its answer is ready: a connection that was lost meanwhile is thrown
    away, and is nobody's trouble any more. What was loaded keeps its values: a file may still be on its way."""
    try:
        session.close()
    except Unavailable:
        session().invalidate()


_writer = threading.Lock()


@contextmanager
def _turn() -> Iterator[None]:
    """On SQLite, which has one writer: this process's threads wait in line for it. SQLite's own waiting is to look
    again after ever longer sleeps, in which nobody writes; it remains between processes."""
    if not is_sqlite():
        yield
        return
    if not _writer.acquire(timeout=PATIENCE_S):
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))
    try:
        yield
    finally:
        _writer.release()


def is_sqlite() -> bool:
    """Whether this runs on SQLite."""
    return session.get_bind().dialect.name == "sqlite"


def insert_once(model: type[Any], **values: Any) -> Any:
    """Inserts a row unless a UNIQUE rule says that it is there; the new object, or None."""
    statement = _insert_unless_there(model).returning(model)
    return session.scalars(statement, [values], execution_options={"populate_existing": True}).one_or_none()


def insert_all(model: type[Any], rows: Sequence[dict[str, Any]], *returning: Any) -> list[Any]:
    """Inserts the rows that no UNIQUE rule says are there, many in a statement; of the new ones these columns, in any
    order."""
    if not rows:
        return []
    session.flush()  # what the rows refer to
    statement = _insert_unless_there(model.__table__)  # of the table: the mapper would look at each value of each row
    if not returning:
        session.execute(statement, list(rows))
        return []
    return list(session.execute(statement.returning(*returning), list(rows)))


def insert_from(model: type[Any], columns: Sequence[str], rows: sa.Select[Any]) -> Any:
    """A statement that inserts what a query finds, unless a UNIQUE rule says that it is there. The query needs a
    WHERE, without which SQLite would take the end for part of a join."""
    return _insert_unless_there(model.__table__, columns, rows)


def _insert_unless_there(into: Any, columns: Sequence[str] = (), rows: sa.Select[Any] | None = None) -> Any:
    """ON CONFLICT DO NOTHING: of eight at once one inserts, the others wait for it and then see its row.

    Rows that are given go beside the statement, not in it: so it is built and compiled once for all.
    """
    insert = (sqlite.insert if is_sqlite() else postgresql.insert)(into)
    if rows is not None:
        insert = insert.from_select(columns, rows, include_defaults=False)
    return insert.on_conflict_do_nothing()


def once_for_each_database(build: Callable[..., Built]) -> Callable[..., Built]:
    """Builds a statement once for each kind of database and each of its arguments and keeps it: to build one takes
    longer than to run it. What is another each time goes along as parameters."""
    kept: dict[Any, Built] = {}

    @wraps(build)
    def again(*given: Any) -> Built:
        key = (is_sqlite(), *given)
        if key not in kept:
            kept[key] = build(*given)
        return kept[key]

    return again


def joined(*parts: Any) -> sa.ColumnElement[str]:
    """For queries: texts and columns written one after another."""
    texts: list[sa.ColumnElement[str]] = [
        sa.literal(part) if isinstance(part, str) else sa.cast(part, sa.Text) for part in parts
    ]
    return reduce(lambda before, text: before.concat(text), texts)


def given(name: str, **columns: Any) -> sa.CTE:
    """A table of rows that are handed over with the query, as its parameter `<name>_rows` (see `told`): column=type.

    One parameter, however many rows, so that a statement is built and compiled once; a VALUES would be each time,
    which takes longer than the query. Materialized, or SQLite would read the document anew for every row joined.
    """
    types = {column: sa.types.to_instance(kind) for column, kind in columns.items()}
    if is_sqlite():
        read = ", ".join(f"json_extract(value, '$[{n}]') AS {column}" for n, column in enumerate(types))
        text = f"SELECT {read} FROM json_each(:{name}_rows)"
    else:
        kinds = {column: kind.compile(dialect=postgresql.dialect()) for column, kind in types.items()}
        read = ", ".join(f"CAST(value->>{n} AS {kinds[column]}) AS {column}" for n, column in enumerate(types))
        # The limit is no limit: it tells the planner how many there are, which would else suppose a hundred.
        rows = f"CAST(:{name}_rows AS jsonb)"
        text = f"SELECT {read} FROM jsonb_array_elements({rows}) LIMIT jsonb_array_length({rows})"
    return sa.text(text).columns(**types).cte(name).prefix_with("MATERIALIZED")


def told(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as `given` takes them: moments as both databases read and compare them."""
    return json.dumps(list(rows), default=_told)


def _told(value: date) -> str:
    if isinstance(value, datetime):
        plain = value.astimezone(UTC)
        return plain.replace(tzinfo=None).isoformat(" ", "microseconds") if is_sqlite() else plain.isoformat()
    return value.isoformat()


def days_after(column: Any, days: int) -> sa.ColumnElement[datetime]:
    """For queries: so many days of 24 hours after a moment."""
    if is_sqlite():  # as `Moment` is kept: the fractions of the second, which SQLite would round, are added as they are
        later = sa.func.strftime("%Y-%m-%d %H:%M:%S", column, f"+{days} days")
        return sa.type_coerce(later.concat(sa.func.substr(column, 20)), Moment())
    return sa.type_coerce(column.op("+")(sa.func.make_interval(0, 0, 0, 0, 24 * days)), Moment())


def unindexed(column: Any) -> Any:
    """A column that no index is asked for: where another condition finds the few rows, and planners guess wrongly."""
    return sa.func.coalesce(column, column, type_=column.type)


def lock(model: type[Any], ids: Iterable[int | None]) -> None:
    """Takes the rows' locks in one order, so that two who need the same rows wait and never deadlock.

    SQLite has one writer, who holds the lock already.
    """
    wanted = sorted({i for i in ids if i is not None})
    if wanted and not is_sqlite():
        query = sa.select(model.id).where(model.id.in_(wanted)).order_by(model.id).with_for_update(key_share=True)
        session.execute(query).all()


def lock_names(*names: str) -> None:
    """Locks names for this transaction: for what has no row yet (an order not reported, a customer not known)."""
    if is_sqlite():
        return
    for name in sorted(set(names)):
        session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


# --- the quick way ---------------------------------------------------------------------------------------------


class Statement:
    """Constant SQL for the plain driver: written with `?`, said in each driver's manner."""

    def __init__(self, text: str) -> None:
        self.by_dialect = {"sqlite": text, "postgresql": text.replace("?", "%s")}
        self.answers = text.startswith("SELECT") or " RETURNING " in text


class Quick:
    """The plain driver for the few statements of the busiest path; the ORM would halve it (docs/figures.md).

    Each statement commits by itself and may be repeated. Cursors wait in a list, from which no two threads take the
    same: to ask the engine's pool costs as much as the statement. One that the server has cut is thrown away with
    all that wait, and its statement is tried once more.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self.dialect = engine, engine.dialect.name
        self._trouble = (engine.dialect.loaded_dbapi.OperationalError, engine.dialect.loaded_dbapi.InterfaceError)
        self._waiting: list[Any] = []
        event.listen(engine, "engine_disposed", self._close)

    def rows(self, statement: Statement, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Runs a statement and gives its rows. Raises what `Unavailable` names when the database is away."""
        try:
            cursor = self._take()
            try:
                return self._rows(cursor, statement, values)
            except self._trouble:
                if not getattr(cursor.connection, "closed", False):
                    self._waiting.append(cursor)  # it answered, with a no
                    raise
                self._let_go()
                return self._rows(self._take(), statement, values)
        except self._trouble as error:
            raise OperationalError(statement.by_dialect[self.dialect], None, error) from error

    def _rows(self, cursor: Any, statement: Statement, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        cursor.execute(statement.by_dialect[self.dialect], values)
        rows: list[tuple[Any, ...]] = cursor.fetchall() if statement.answers else []
        self._waiting.append(cursor)
        return rows

    def _take(self) -> Any:
        try:
            return self._waiting.pop()
        except IndexError:
            connection = self.engine.raw_connection()
            connection.detach()
            return connection.cursor()

    def _let_go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for cursor in waiting:
            cursor.connection.close()

    def _close(self, engine: Engine) -> None:
        self._let_go()
        _quick_of.pop(engine, None)

    def moment(self, at: datetime) -> Any:
        """A moment as this driver takes it, equal to what `Moment` stores."""
        return (
            at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") if self.dialect == "sqlite" else at
        )


_quick_of: dict[Engine, Quick] = {}


def quick() -> Quick:
    """The quick way of the app in whose context we are."""
    engine = db.engines["quick"]
    return _quick_of.get(engine) or _quick_of.setdefault(engine, Quick(engine))


Unavailable = (OperationalError, InterfaceError, TimeoutError)
"""What the session raises when the database is locked, away or full: the web answers 503."""


def empty_log() -> bool:
    """On SQLite, brings what the log holds into the file and empties it, so that what was deleted is in neither.

    Gives whether it is empty. While somebody reads it cannot be; then it gives up at once, for it would wait with the
    writer's lock in its hands and nobody could write (https://sqlite.org/c3ref/wal_checkpoint_v2.html).
    """
    if not is_sqlite():
        return True
    with db.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA busy_timeout=0").close()
        try:
            ((busy, _, _),) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            driver.execute(f"PRAGMA busy_timeout={PATIENCE_S * 1000}").close()
    return not busy
