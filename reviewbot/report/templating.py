"""The templates of pages and pictures, and where their compiled form is kept between runs."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path

import jinja2
from jinja2 import BytecodeCache, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from reviewbot.process import cache as kept
from reviewbot.text import clean_lines


@cache
def environment(package: str = "reviewbot.report") -> Environment:
    """The templates of pages and pictures: every value in them is escaped, and what cannot be seen is spelled out.

    package: whose templates come before those of the report.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "reviewbot.report"))]),
        finalize=_seen,
        undefined=StrictUndefined,
        bytecode_cache=CompiledTemplates(kept.folder() / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )


def _seen(value: object) -> object:
    return clean_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


class CompiledTemplates(BytecodeCache):
    """Compiled templates in the cache folder: to compile those of a series takes longer than to fill them.

    A file is one of the text of its template (jinja2 sees to that), of jinja2, and of this file with the settings. One
    that is torn or foreign is a miss, and nothing that goes wrong with the disk stops a page.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made_with = jinja2.__version__.encode() + Path(__file__).read_bytes()
        self.of = hashlib.blake2b(made_with, digest_size=8).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill in what is kept of a template, if anything is."""
        path = self._path(bucket)
        try:
            bucket.bytecode_from_string(path.read_bytes())
        except Exception:  # the disk, or whatever unpacking a torn file raises
            bucket.reset()
        else:
            kept.used(path)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template that was compiled."""
        with suppress(OSError):
            kept.write(self._path(bucket), [bucket.bytecode_to_string()])

    def _path(self, bucket: Bucket) -> Path:
        return self.folder / f"{self.of}-{bucket.key}"
