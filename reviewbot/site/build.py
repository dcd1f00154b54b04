"""The site from the watcher's database: made once, and led on where something changed.

What each page was made of is kept as a fingerprint in the folder. A page whose fingerprint is the same is not made again;
pages appear whole, and the fingerprints are written last, so that a run that was cut off is done again by the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from reviewbot import precision
from reviewbot.report.page import article, render
from reviewbot.report.templating import environment
from reviewbot.site import ruled
from reviewbot.site.entry import (
    VERDICTS,
    Fired,
    SeriesEntry,
    day,
    entry,
    fingerprints,
    reason_kind,
    review,
    standing,
)
from reviewbot.site.patchset import series_json
from reviewbot.site.ruled import KnownRules
from reviewbot.text import clean
from reviewbot.types import Outcome, ReviewError, Value
from reviewbot.watch import outline as outlines
from reviewbot.watch.ledger import Ledger
from reviewbot.watch.outline import SeriesOutline
from reviewbot.watch.store import SeriesState, Store

STATE = ".reviewbot-site.json"
PACKAGE = "reviewbot.site"
ON_A_PAGE = 100
"""Series on one page of a list. Pages are counted from the oldest, so that only the last one changes."""
NEWEST = 40
"""Series on the front page, and in the feed."""
AT_ONCE = 250
"""Series whose results are in memory at once."""
ALL = "all"
Report = Callable[[int, int], None]


class Kept(Value, frozen=True):
    """What is kept of a series beside its page: its fingerprint, and what other pages say of it."""

    fingerprint: str
    fired: tuple[Fired, ...] = ()
    ids: tuple[str, ...] = ()
    said: str = ""
    """The first finding, or why there is none."""


class SiteState(Value, frozen=True):
    """What the folder was made of."""

    form: str = ""
    """Stands for templates and program: with another one all is made anew."""
    series: dict[str, Kept] = msgspec.field(default_factory=dict)
    lists: dict[str, str] = msgspec.field(default_factory=dict)
    """File of a page of a list -> its fingerprint."""
    rules: KnownRules = KnownRules()


class Built(Value, frozen=True):
    """What a run did."""

    series: int
    made: int
    """Pages of series that were written."""
    removed: int = 0


class ListedSeries(Value, frozen=True):
    """A series in a list."""

    outline: SeriesOutline
    verdict: str
    said: str

    @property
    def day(self) -> str:
        """The day on which it arrived."""
        return day(self.outline.arrived)


def build(store: Store, folder: Path, progress: Report | None = None) -> Built:
    """Bring the site in a folder up to date. Raises ReviewError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _Site(store, folder, progress).build()
    except OSError as error:
        raise ReviewError(
            f"cannot write the site in {folder}: {error.strerror or error}: name a folder of yours"
        ) from error


@cache
def form() -> str:
    """A hash of what pages are made with."""
    here = Path(__file__).parent
    files = sorted([*here.rglob("*.*"), *(here.parent / "report").rglob("*.*"), here.parent / "watch/outline.py"])
    digest = hashlib.blake2b(digest_size=12)
    for file in files:
        if file.suffix in (".py", ".j2", ".css", ".js"):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class _Site:
    def __init__(self, store: Store, folder: Path, progress: Report | None) -> None:
        self.store, self.folder = store, folder
        self.docs = (folder / "docs" / "index.html").is_file()
        self.progress = progress or (lambda done, of: None)
        self.outlines = outlines.outlines(store)
        self.drafts = outlines.drafts(store)
        self.of = {outline.key: outline for outline in self.outlines}
        self.versions: dict[str, list[SeriesOutline]] = {}
        for outline in self.outlines:
            self.versions.setdefault(outline.lineage or outline.key, []).append(outline)

    def build(self) -> Built:
        state = self.read()
        now = fingerprints(self.outlines, self.drafts)
        known = state.series if state.form == form() else {}
        changed = [key for key, mark in now.items() if key not in known or known[key].fingerprint != mark]
        kept = {key: one for key, one in known.items() if key in now}
        for begin in range(0, len(changed), AT_ONCE):
            some = changed[begin : begin + AT_ONCE]
            kept |= {one.outline.key: self.series(one, now) for one in self.entries(some)}
            self.progress(begin + len(some), len(changed))
        gone = [key for key in state.series if key not in now]
        for key in gone:
            for suffix in ("html", "json"):
                (self.folder / "series" / f"{name(key)}.{suffix}").unlink(missing_ok=True)
        lists = self.lists(kept, state.lists if state.form == form() else {})
        self.front(kept)
        rules = ruled.known(state.rules)
        self.rules(kept, rules)
        put(self.folder / STATE, msgspec.json.encode(SiteState(form(), kept, lists, rules)))
        return Built(len(self.outlines), len(changed), len(gone))

    def read(self) -> SiteState:
        """What the folder was made of; nothing where that cannot be read."""
        try:
            return msgspec.json.decode((self.folder / STATE).read_bytes(), type=SiteState)
        except (OSError, msgspec.MsgspecError):
            return SiteState()

    # --- series

    def entries(self, keys: Collection[str]) -> Iterator[SeriesEntry]:
        """Some series with all that is shown of them."""
        family = {one.key for key in keys for one in self.versions[self.of[key].lineage or key]}
        rows = outlines.rows(self.store, family)
        posted = outlines.posted(self.store, keys)
        ledger = Ledger(self.store)
        for key in keys:
            versions = [(one, rows.get(one.key)) for one in self.versions[self.of[key].lineage or key]]
            drafts = [(draft, ledger.mail(draft.name)) for draft in self.drafts.get(key, ())]
            if key in rows:
                yield entry(rows[key], self.of[key], versions, posted.get(key, ()), drafts)

    def series(self, one: SeriesEntry, marks: Mapping[str, str]) -> Kept:
        """Write the page and the JSON of a series."""
        outline = one.outline
        shown = article(review(one), "review") if outline.state is SeriesState.DONE and one.result else None
        text = render(
            "series.html.j2",
            PACKAGE,
            title=f"{one.verdict}: {clean(outline.subject)}",
            up="../index.html",
            entry=one,
            articles=[shown] if shown else [],
            day=day,
            name=name,
            standing=standing,
        )
        put(self.folder / "series" / f"{name(outline.key)}.html", text.encode())
        put(self.folder / "series" / f"{name(outline.key)}.json", msgspec.json.encode(series_json(one)))
        findings = [v.finding.message for v in (one.result.verdicts if one.result else ()) if v.outcome in FIRST]
        said = clean(findings[0]) if findings else one.why
        ids = dict.fromkeys([outline.lead, *(mail.id for mail in one.posted)])
        return Kept(marks[outline.key], one.fired, tuple(ids), said)

    # --- lists

    def row(self, outline: SeriesOutline, kept: Mapping[str, Kept]) -> ListedSeries:
        return ListedSeries(outline, standing(outline), kept[outline.key].said if outline.key in kept else "")

    def lists(self, kept: Mapping[str, Kept], before: Mapping[str, str]) -> dict[str, str]:
        """Write the pages of lists that changed; returns the fingerprints of all of them by file name."""
        members: dict[tuple[str, str], list[SeriesOutline]] = {}
        for outline in self.outlines:
            for place in (ALL, outline.list):
                for verdict in (ALL, standing(outline)):
                    members.setdefault((place, verdict), []).append(outline)
        found: dict[str, str] = {}
        for (place, verdict), mine in members.items():
            pages = -(-len(mine) // ON_A_PAGE)
            for number in range(1, pages + 1):
                some = mine[(number - 1) * ON_A_PAGE : number * ON_A_PAGE]
                marks = "".join(kept[one.key].fingerprint for one in some if one.key in kept)
                file = list_file(place, verdict, number)
                found[file] = hashlib.blake2b(f"{marks} {number == pages}".encode(), digest_size=12).hexdigest()
                if before.get(file) != found[file] or not (self.folder / file).exists():
                    self.write_list(
                        file, place, verdict, number, pages, [self.row(one, kept) for one in reversed(some)]
                    )
        for file in before:
            if file not in found:
                (self.folder / file).unlink(missing_ok=True)
        put(
            self.folder / "api" / "messages.json",
            _sorted({i: k for k, one in kept.items() for i in one.ids}),
        )
        return found

    def write_list(
        self, file: str, place: str, verdict: str, number: int, pages: int, rows: Sequence[ListedSeries]
    ) -> None:
        what = " ".join(
            part
            for part in (verdict if verdict != ALL else "all series", f"on {place}" if place != ALL else "")
            if part
        )
        older = list_file(place, verdict, number - 1) if number > 1 else ""
        newer = list_file(place, verdict, number + 1) if number < pages else ""
        text = render(
            "list.html.j2",
            PACKAGE,
            title=what,
            up="../index.html",
            rows=rows,
            older=older.rpartition("/")[2],
            newer=newer.rpartition("/")[2],
            name=name,
        )
        put(self.folder / file, text.encode())

    # --- the whole

    def front(self, kept: Mapping[str, Kept]) -> None:
        """The front page, and the feed."""
        counts = Counter((outline.list, standing(outline)) for outline in self.outlines)
        reasons = Counter(filter(None, map(reason_kind, self.outlines)))
        done = [outline for outline in self.outlines if outline.state is SeriesState.DONE]
        newest = [self.row(outline, kept) for outline in reversed(done[-NEWEST:])]
        last = {
            (place, verdict): list_file(place, verdict, -(-count // ON_A_PAGE))
            for place, verdict, count in self.totals(counts)
        }
        text = render(
            "index.html.j2",
            PACKAGE,
            title="reviewbot: series reviewed",
            up="",
            lists=sorted({place for place, _ in counts}),
            verdicts=[verdict for verdict in VERDICTS if any(v == verdict for _, v in counts)],
            total={(place, verdict): count for place, verdict, count in self.totals(counts)},
            last=last,
            reasons=reasons.most_common(),
            newest=newest,
            docs=self.docs,
            name=name,
        )
        put(self.folder / "index.html", text.encode())
        updated = f"{day(max((o.arrived for o in done), default=0.0)).replace(' ', 'T')}:00Z"
        feed = environment(PACKAGE).get_template("feed.xml.j2").render(rows=newest, updated=updated, name=name)
        put(self.folder / "feed.xml", feed.encode())

    def totals(self, counts: Mapping[tuple[str, str], int]) -> Iterator[tuple[str, str, int]]:
        """Each (list or all, verdict or all), and how many series stand there."""
        found: Counter[tuple[str, str]] = Counter()
        for (place, verdict), count in counts.items():
            for key in {(place, verdict), (place, ALL), (ALL, verdict), (ALL, ALL)}:
                found[key] += count
        yield from ((place, verdict, count) for (place, verdict), count in found.items())

    def rules(self, kept: Mapping[str, Kept], known: KnownRules) -> None:
        """How often each rule fired, and how often it was right."""
        fired = Counter((one.rule, one.outcome) for series in kept.values() for one in series.fired)
        tally = {one.rule: one for one in Ledger(self.store).tally()}
        every = sorted({*known.guarantees, *tally, *(rule for rule, _ in fired)})
        recorded = precision.recorded()
        rows = [ruled.row(rule, known.guarantees.get(rule, ""), fired, tally.get(rule), recorded) for rule in every]
        text = render(
            "rules.html.j2",
            PACKAGE,
            title="Rules: how often they fired and were right",
            up="index.html",
            rows=rows,
            docs=self.docs,
        )
        put(self.folder / "rules.html", text.encode())


FIRST = (Outcome.CONFIRMED, Outcome.FIXED, Outcome.INCONCLUSIVE)


def _sorted(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def list_file(place: str, verdict: str, number: int) -> str:
    """The page of a list, from 1 for the oldest."""
    return f"lists/{name(place)}.{name(verdict)}.{number}.html"


def name(text: str) -> str:
    """A text as a file name: itself where it is plain, else a hash of it."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        return text
    return (
        text.replace(" ", "-")
        if text == "set aside"
        else hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    )


def put(path: Path, data: bytes) -> None:
    """Write a file whole, unless it says the same already."""
    try:
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(data)
    partial.replace(path)
