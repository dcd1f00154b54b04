"""The tables of the watcher's database, and the steps that bring an older database up to them.

`VERSION` goes up by one with every change of a table; the change itself is one entry of `STEPS`, written as SQL that
SQLite and PostgreSQL both take. A new database is made whole, an old one walks the steps it has not seen.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    text,
)

from reviewbot.types import ReviewError

VERSION = 1
STEPS: dict[int, tuple[str, ...]] = {}
"""Version -> statements that lead there from the version before."""

META = MetaData()

schema = Table("schema_version", META, Column("version", Integer, primary_key=True))

cursor = Table(
    "cursor",
    META,
    Column("list", String, primary_key=True),
    Column("source", String, primary_key=True),  # name of the epoch, or `imap`
    Column("position", String, nullable=False, default=""),  # commit id, or uidvalidity:uid, of the last mail taken
    Column("fingerprint", String, nullable=False, default=""),  # of the epoch, when there was nothing after position
    Column("floor", Float, nullable=False, default=0.0),  # what the archive took before that is not read
    Column("tries", Integer, nullable=False, default=0),  # at the mails after position, none of them finished
    Column("singly", Integer, nullable=False, default=0),  # mails to take one by one, because a try was cut off thrice
)

mail = Table(
    "mail",
    META,
    Column("id", String, primary_key=True),  # message-id without brackets; `!blob` for a mail that has none
    Column("list", String, nullable=False),
    Column("source", String, nullable=False),
    Column("ref", String, nullable=False),  # what the source reads it by: a blob id, the name of a file
    Column("arrived", Float, nullable=False),
    Column("kind", String, nullable=False),  # Kind
    Column("author", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("title", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("expected", Integer, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("parent", String, nullable=False),
    Column("root", String, nullable=False),
    Column("change_id", String, nullable=False),
    Column("program", String, nullable=False),  # why its author is taken for a program
    Column("agrees", Boolean, nullable=False),
    Column("fault", String, nullable=False),  # why only this much is known of it
    Column("series", String, nullable=False, default=""),
    Index("mail_root", "root"),
    Index("mail_series", "series"),
    Index("mail_parent", "parent"),
    Index("mail_kind", "kind"),
)

series = Table(
    "series",
    META,
    Column("key", String, primary_key=True),
    Column("list", String, nullable=False),
    Column("lead", String, nullable=False),
    Column("author", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("title", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("expected", Integer, nullable=False),
    Column("present", Integer, nullable=False),
    Column("root", String, nullable=False),
    Column("change_id", String, nullable=False),
    Column("lineage", String, nullable=False),  # key of the first version known
    Column("previous", String, nullable=False),  # key of the version before this one
    Column("arrived", Float, nullable=False),  # in the archive: its newest patch
    Column("first_seen", Float, nullable=False),  # by us
    Column("state", String, nullable=False),  # State
    Column("reason", Text, nullable=False, default=""),
    Column("tries", Integer, nullable=False, default=0),
    Column("worker", String, nullable=False, default=""),
    Column("until", Float, nullable=False, default=0.0),  # when the claim of a worker that is not heard of ends
    Column("decision", String, nullable=False, default=""),
    Column("result", Text, nullable=False, default=""),  # Result as JSON
    Index("series_state", "state"),
    Index("series_author", "author"),
    Index("series_lineage", "lineage"),
    Index("series_change", "change_id"),
)

draft = Table(
    "draft",
    META,
    Column("name", String, primary_key=True),
    Column("series", String, nullable=False),
    Column("lineage", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("state", String, nullable=False),  # Held
    Column("why", Text, nullable=False, default=""),
    Column("made", Float, nullable=False),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("verdicts", Text, nullable=False),  # JSON
    Column("mail", LargeBinary, nullable=False),
    Column("placed", String, nullable=False, default=""),  # the drafts folder, by its id, that its file is in
    Column("delivery", String, nullable=False, default=""),  # '', 'begun', 'done': the copy in Maildir or IMAP
    Index("draft_series", "series"),
    Index("draft_state", "state"),
)

judgement = Table(
    "judgement",
    META,
    Column("lineage", String, primary_key=True),
    Column("finding", String, primary_key=True),  # finding_key
    Column("rule", String, primary_key=True),
    Column("kind", String, primary_key=True),  # Judged
    Column("by", String, nullable=False),
    Column("said_in", String, nullable=False),  # message-id or name of the draft
    Column("at", Float, nullable=False),
)


def migrate(connection: Connection) -> None:
    """Bring the database to VERSION in the transaction of `connection`. ReviewError when it is newer than we are."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7241883)"))  # one worker migrates, the others wait
    if not inspect(connection).has_table(schema.name):
        META.create_all(connection)
        connection.execute(schema.insert().values(version=VERSION))
        return
    found = connection.execute(schema.select()).scalar_one()
    if found > VERSION:
        raise ReviewError(f"the database is of a newer reviewbot (version {found}, this knows {VERSION}): upgrade")
    for step in range(found + 1, VERSION + 1):
        for statement in STEPS[step]:
            connection.execute(text(statement))
        connection.execute(schema.update().values(version=step))
