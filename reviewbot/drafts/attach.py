"""A text put to a draft as an attachment: for the maintainer, who takes it into the mail or away from it."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default as default_policy
from pathlib import Path

from reviewbot.types import ReviewError


def attach(draft: Path, name: str, text: str) -> None:
    """Attach a text to a draft that lies in a file, in the place of an attachment of that name.

    Raises ReviewError for a file that is no mail or cannot be written.
    """
    try:
        message = message_from_bytes(draft.read_bytes(), policy=default_policy.clone(cte_type="8bit"))
    except OSError as error:
        raise ReviewError(f"cannot read the draft {draft}: {error.strerror}") from error
    if not isinstance(message, EmailMessage) or not message["Message-ID"] or not message["Subject"]:
        raise ReviewError(f"{draft} is no draft: name the file that `reviewbot check --draft` wrote")
    if message.is_multipart():
        message.set_payload(list[Message | str](p for p in message.iter_parts() if p.get_filename() != name))
    message.add_attachment(text, subtype="plain", filename=name)
    partial = draft.with_name(f".{draft.name}.tmp")
    try:
        partial.write_bytes(message.as_bytes())
        partial.replace(draft)
    except OSError as error:
        raise ReviewError(f"cannot write the draft {draft}: {error.strerror}") from error
