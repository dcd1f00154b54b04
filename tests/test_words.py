"""What drafts must read like: the author's names, no padding, each thing said once, and short."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import checking
import pytest

from reviewbot.analysis.code.identity import spoken
from reviewbot.bench import case as cases
from reviewbot.bench.case import Case

ROOT = Path(__file__).parent.parent / "corpus"
MOST_OWN = 22
"""Lines of own text in the draft for each founding patch."""
PADDED = (
    r"same situation",
    r"cannot occur",
    r"does not help",
    r"It does not take",
    r"\bwait for what only\b",
    r"around it\b",
    r"the thread of",
    r"kworker #\d",
    r"does the same",
    r"inside of any",
    r"\bWhere\b.*\bthe same\b",
    r"\bin hand\b",
)
"""What no maintainer writes."""


def own(body: str) -> list[str]:
    """The lines of a draft that are neither blank nor quoted, nor who wrote what, nor the signature."""
    text = body.split("\n-- \n")[0]
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith(">")]
    return [line for line in lines if not line.endswith(" wrote:") and line != "[ ... ]"]


def replies() -> list[tuple[str, Case, str]]:
    return [(case.name, case, dict(case.goldens).get("reply", "")) for case in cases.load(ROOT)]


TOLD = [(name, case, body) for name, case, body in replies() if "Replay the schedule" in body]


def test_there_are_drafts_to_look_at() -> None:
    assert len(TOLD) > 40
    assert own("On Monday, A wrote:\n> +\tx\n[ ... ]\n> -y\n\nThis is bad.\n\n-- \nDrafted\n") == ["This is bad."]


@pytest.mark.parametrize(("name", "case", "body"), TOLD, ids=[name for name, _, _ in TOLD])
def test_objects_have_the_names_of_the_code(name: str, case: Case, body: str) -> None:
    code = "".join(text for _, text in case.files)
    structs = set(re.findall(r"\bstruct (\w+) \{", code)) | {"request_queue", "mm_struct", "bio_set"}
    variables = set(re.findall(r"\*(\w+)\b", code))
    for line in own(body):
        said = set(re.findall(r"\b(\w+)->\w", line)) - {"current"}
        assert not (said & structs) - variables, line


@pytest.mark.parametrize(("name", "case", "body"), TOLD, ids=[name for name, _, _ in TOLD])
def test_nothing_is_padded(name: str, case: Case, body: str) -> None:
    said = " ".join(own(body))
    for words in PADDED:
        assert not re.search(words, said), words


NACKS = [(name, body) for name, _, body in TOLD if "I would not take" in body]


@pytest.mark.parametrize(("name", "body"), NACKS, ids=[name for name, _ in NACKS])
def test_what_would_be_safe_is_said_once(name: str, body: str) -> None:
    """Between the circle and the last line stands one paragraph, and before it at most a second way into the deadlock."""
    after = re.split(r"[\s-]deadlock\.\n", body)[-1].partition("I would not take")[0]
    paragraphs = [part for part in re.split(r"\n\n+", after.strip()) if part and not part.startswith(">")]
    also = [part for part in paragraphs if part.startswith(("The same holds for", "It could deadlock even"))]
    assert len(paragraphs) - len(also) == 1, paragraphs
    assert len(also) <= 1


@pytest.mark.parametrize(("name", "case", "body"), TOLD, ids=[name for name, _, _ in TOLD])
def test_the_quote_names_its_file(name: str, case: Case, body: str) -> None:
    quoted = [line for line in body.split("\n") if line.startswith(">")]
    assert quoted[0].startswith("> +++ b/")
    assert not [line for line in quoted if line.startswith("> @@") and not line.startswith("> @@ ... @@ ")]


@pytest.mark.parametrize(
    "patch",
    [
        "bufio-shrinker-gfp-io",
        "dm-rescued-on-md-work",
        "snapshot-cow-throttling",
        "verity-shared-mempool",
        "verity-wq-mem-reclaim",
    ],
)
def test_a_draft_for_a_founding_patch_is_short(
    patch: str, shared: Path, kernel_tree: Callable[..., Path], tmp_path: Path
) -> None:
    tree, mail = kernel_tree("6.12", small=True), shared / "seeds/patches" / f"{patch}.eml"
    done = checking.process("check", mail, "--tree", tree, "--no-color", cwd=tmp_path, timeout=600)
    assert done.returncode == 1, done.stderr
    body = done.stdout.decode().partition("X-Patchwork-Hint: ignore\n")[2]
    said = own(body)
    assert "I would not take this patch as it is." in said
    assert len(said) <= MOST_OWN, "\n".join(said)
    for words in PADDED:
        assert not re.search(words, " ".join(said)), words
    structs = ("dm_verity", "mapped_device", "dm_snapshot", "dm_bufio_client", "bio_set")
    assert not [line for line in said for struct in structs if f"{struct}->" in line]


def test_variables_on_the_stack_are_told_by_their_name() -> None:
    assert spoken("run()done.wait") == "done.wait"
    assert spoken("*mutex") == "the mutex"
    assert spoken("drivers/md/x.c:lists") == "lists"
    assert spoken("depot.lock") == "depot->lock"
