"""The picture of a schedule as a file of its own."""

from __future__ import annotations

from reviewbot.report.picture import Picture
from reviewbot.report.templating import environment
from reviewbot.report.wide import wide


def svg(picture: Picture, title: str) -> str:
    """The wide picture as a file of its own, which follows the reader's choice of light and dark."""
    return environment().get_template("picture.svg.j2").render(drawing=wide(picture), title=title, alone=True)
