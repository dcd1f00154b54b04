"""The figures of a poll as a text file for Prometheus' node exporter (textfile collector)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from reviewbot.types import ReviewError
from reviewbot.watch.idle import Summary


def text(summary: Summary) -> str:
    """The figures in the Prometheus text format, version 0.0.4."""
    gauges: list[tuple[str, str, list[tuple[str, float]]]] = [
        ("last_poll_timestamp_seconds", "When the last poll ended.", [("", summary.finished)]),
        ("poll_seconds", "How long the last poll took.", [("", summary.seconds)]),
        ("poll_faults", "Lists or steps that failed in the last poll.", [("", len(summary.faults))]),
        ("poll_new_mails", "Mails that the last poll read.", [("", summary.mails)]),
        ("poll_reviews", "Reviews of the last poll by what came of them.", _labelled("result", summary.decisions)),
        ("series", "Series known, by state.", _labelled("state", summary.states)),
        ("series_unreviewed", "Series without a review, by reason.", _labelled("reason", summary.unreviewed)),
        ("series_overdue", "Series that lack patches for longer than they should.", [("", summary.overdue)]),
        ("drafts_waiting", "Drafts that wait for the maintainer.", [("", summary.waiting)]),
        ("mails_broken", "Mails that could not be read.", [("", summary.broken)]),
    ]
    lines = []
    for name, help_, samples in gauges:
        lines += [f"# HELP reviewbot_{name} {help_}", f"# TYPE reviewbot_{name} gauge"]
        lines += [f"reviewbot_{name}{labels} {value:.15g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labelled(label: str, values: dict[str, int]) -> list[tuple[str, float]]:
    return [(f'{{{label}="{name}"}}', float(count)) for name, count in sorted(values.items())]


def write(path: Path, summary: Summary) -> None:
    """Write the file in one go, so that the collector never sees half of it. ReviewError when that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(text(summary))
        os.chmod(file.name, 0o644)  # the collector is another user
        os.replace(file.name, path)
    except OSError as error:
        raise ReviewError(f"cannot write the metrics to {path}: {error.strerror or error}") from error
