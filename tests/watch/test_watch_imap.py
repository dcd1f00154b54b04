"""A list that is read from an IMAP folder of a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from inbox import patch
from servers import dovecot

from reviewbot.drafts import imap
from reviewbot.watch.config import Config, MailingList, TreeRule
from reviewbot.watch.poll import poll
from reviewbot.watch.store import Store


def test_a_list_in_an_imap_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(imap.PASSWORD, "secret")
    with dovecot(tmp_path) as port:
        url = f"imap://ann@127.0.0.1:{port}/lists"
        place = imap.parse(url)
        client = imap.connect(place)
        client.create_folder("lists")
        for name in ("a", "b"):
            client.append("lists", patch(f"{name}@dev.example", f"dm {name}: fix", "lock").replace(b"\n", b"\r\n"))
        settings = Config(
            lists=(MailingList(name="dm", imap=url, review=True),),
            trees=(TreeRule(path="/nowhere"),),
            state=str(tmp_path / "state"),
        )
        with Store.open(settings.database_url()) as store:
            first = poll(settings, store, reviewer="inbox:finder")
            assert (first.mails, first.decisions, first.faults) == (2, {"nack": 2}, ())
            assert poll(settings, store, reviewer="inbox:finder").mails == 0
            client.append("lists", patch("c@dev.example", "dm c: fix", "lock").replace(b"\n", b"\r\n"))
            assert poll(settings, store, reviewer="inbox:finder").decisions == {"nack": 1}
            client.select_folder("lists")
            assert all(b"\\Seen" not in f[b"FLAGS"] for f in client.fetch(client.search(), ["FLAGS"]).values())
            client.unselect_folder()
            client.delete_folder("lists")
            client.create_folder("lists")  # numbered anew
            for name in ("a", "d"):
                client.append("lists", patch(f"{name}@dev.example", f"dm {name}: fix", "lock").replace(b"\n", b"\r\n"))
            last = poll(settings, store, reviewer="inbox:finder")
            assert (last.mails, last.decisions) == (1, {"nack": 1})
        client.logout()
