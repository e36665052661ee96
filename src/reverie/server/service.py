"""What the routes of one server process share."""

from __future__ import annotations

from dataclasses import dataclass

from reverie import storage
from reverie.errors import ReverieError, quoted
from reverie.server.database.engine import Database, default_url
from reverie.server.database.migrate import migrate
from reverie.server.measures import Measures
from reverie.server.settings import Settings
from reverie.server.store import Store
from reverie.server.submissions import Submissions
from reverie.server.tokens import Caller, read_tokens
from reverie.server.told import Plainly
from reverie.server.watching import Watchers


@dataclass(frozen=True)
class Service:
    """Settings, database and files of a server, whose tokens it takes (None: no token is asked for), who submits and watches
    jobs, what is counted, and how files are named to people.
    """

    settings: Settings
    database: Database
    store: Store
    tokens: dict[str, Caller] | None
    submissions: Submissions
    watchers: Watchers
    measures: Measures
    plainly: Plainly

    @classmethod
    def open(cls, settings: Settings) -> Service:
        """Check the settings, make what is missing and bring the database to this version; raises ReverieError."""
        settings.check()
        if storage.is_model(settings.runs) or storage.is_run(settings.runs):
            raise ReverieError(
                f"{settings.runs} is a run itself; serve the folder that holds it: reverie serve {quoted(settings.runs.parent)}."
            )
        tokens = None if settings.token_file is None else read_tokens(settings.token_file)
        store = Store(settings.folder)
        database = Database(url_of(settings))
        migrate(database)
        with database.reading() as session:
            store.belong(session)
        watchers = Watchers(database, settings.most_watchers)
        plainly = Plainly(settings.runs.resolve(), store.root)
        submissions, measures = Submissions(database), Measures(database, watchers)
        return cls(settings, database, store, tokens, submissions, watchers, measures, plainly)


def url_of(settings: Settings) -> str:
    """The database that is asked for, or a file in the server's own folder."""
    return settings.database or default_url(settings.folder)
