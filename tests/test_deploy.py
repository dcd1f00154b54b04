"""What is in deploy/ is right: the example, the confined service, the container, and what the runbook names."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import checking
import msgspec
import pytest
from inbox import patch

from reviewbot import cli
from reviewbot.commands import TABLE
from reviewbot.gittree.tree import Tree
from reviewbot.mail import fetch
from reviewbot.watch import config

DEPLOY = Path(__file__).parent.parent / "deploy"
EXAMPLE = DEPLOY / "config.toml"


def test_the_example_is_right_and_changes_no_default_but_those_it_shows() -> None:
    example = config.parse(EXAMPLE.read_text())
    assert [x.name for x in example.lists] == ["dm-devel"]
    assert example.lists[0].review
    assert not example.drafts.send
    assert not example.patchwork.url


def uncommented() -> str:
    """The example with every value that is behind a `#` in force."""
    return re.sub(r"(?m)^# (?=\[\[|[a-z_]+ = )", "", EXAMPLE.read_text())


def test_every_value_behind_a_mark_is_right_too() -> None:
    whole = config.parse(uncommented())
    assert len(whole.lists) == len(whole.trees) == 2


def test_the_example_has_every_key() -> None:
    told = tomllib.loads(uncommented())
    kinds = {
        "": config.Config,
        "list": config.MailingList,
        "tree": config.TreeRule,
        "drafts": config.Drafts,
        "limits": config.ReviewLimits,
        "follow": config.Follow,
        "patchwork": config.Patchwork,
    }
    for table, kind in kinds.items():
        found = told if not table else told[table]
        keys = {k for one in (found if isinstance(found, list) else [found]) for k in one}
        assert {f.encode_name for f in msgspec.structs.fields(kind)} <= keys, table


def test_the_values_shown_are_the_defaults() -> None:
    whole = config.parse(uncommented())
    assert whole.limits == config.ReviewLimits()
    assert whole.follow == config.Follow()
    assert whole.drafts.send is config.Drafts().send
    assert whole.drafts.of == config.Drafts().of


def test_the_service_is_confined() -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(DEPLOY / "reviewbot.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Unknown" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this systemd-analyze knows no --offline")
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) < 2.0
    assert done.returncode == 0


def test_the_units_are_understood(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    service = (DEPLOY / "reviewbot.service").read_text()
    service = service.replace("/opt/reviewbot/bin/reviewbot", "/bin/true").replace("=reviewbot\nGroup", "=root\nGroup")
    (tmp_path / "reviewbot.service").write_text(service.replace("Group=reviewbot", "Group=root"))
    (tmp_path / "reviewbot.timer").write_text((DEPLOY / "reviewbot.timer").read_text())
    command = ["systemd-analyze", "verify", str(tmp_path / "reviewbot.service"), str(tmp_path / "reviewbot.timer")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert said == []


def test_the_runbook_names_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = (DEPLOY / "RUNBOOK.md").read_text()
    for command in set(re.findall(r"reviewbot ((?:watch|drafts)(?: [a-z][a-z-]+)?)\b", text)):
        name, _, sub = command.partition(" ")
        assert name in TABLE
        assert cli.run([*command.split(), "--help"]) == 0, command
        capsys.readouterr()
        if name == "watch":
            assert not sub, command
    for option in set(re.findall(r"reviewbot watch (--[a-z-]+)", text)):
        cli.run(["watch", "--help"])
        assert option in capsys.readouterr().out


def test_the_runbook_quotes_what_the_program_says() -> None:
    sources = "".join(p.read_text() for p in (DEPLOY.parent / "reviewbot").rglob("*.py"))
    sources = re.sub(r"\{[^}]*\}", "X", sources)
    for said in (
        "is being read by another run",
        "has no manifest of epochs",
        "the database is of a newer reviewbot",
        "series incomplete",
        "set aside",
    ):
        assert said in sources
        assert said in (DEPLOY / "RUNBOOK.md").read_text()


def test_the_container_starts_the_watcher() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert 'ENTRYPOINT ["reviewbot"]' in text
    assert 'CMD ["watch", "--follow"]' in text
    assert re.search(r"(?m)^USER (?!root)", text)


def test_the_crontab_has_one_line_that_cron_takes() -> None:
    lines = [x for x in (DEPLOY / "crontab").read_text().splitlines() if x and not x.startswith("#")]
    assert len(lines) == 1
    assert re.match(r"(\S+ ){5}\S", lines[0])
    assert "%" not in lines[0]


def test_what_the_runbook_writes_somewhere_has_a_folder_there() -> None:
    """Each command of the installation finds the folders and files that it needs, made by one before it."""
    text = (DEPLOY / "RUNBOOK.md").read_text().partition("## Day by day")[0]
    commands = re.findall(r"(?m)^ {4,}(\S.*)$", text)
    for folder, target in (("~/.local/bin", "ln -s"), ("~/.config/reviewbot", "cp deploy/config.toml")):
        made = next(n for n, c in enumerate(commands) if c == f"mkdir -p {folder}")
        assert made < next(n for n, c in enumerate(commands) if c.startswith(target))
    installed = [c.split() for c in commands if c.startswith("install -m")]
    assert len(installed) == 3
    for words in installed:
        assert all((DEPLOY.parent / w).exists() for w in words if w.startswith("deploy/")), words


def test_the_branch_of_the_example_is_one_of_a_clone_made_as_the_runbook_says(tmp_path: Path) -> None:
    text = (DEPLOY / "RUNBOOK.md").read_text()
    found = re.search(r"(?m)^ +git (clone \S+) https://\S+ /srv/linux\n +git -C /srv/linux (fetch .*)$", text)
    assert found
    origin = checking.repository(tmp_path / "origin", {"a.c": "int x;\n"})
    checking.git(origin, "branch", "-m", "master")
    checking.git(tmp_path, *found[1].split(), "-q", str(origin), "linux")
    (tmp_path / "origin/a.c").write_text("int y;\n")
    checking.git(origin, "commit", "-qam", "newer")
    checking.git(tmp_path / "linux", *found[2].split())
    (rule,) = config.parse(EXAMPLE.read_text()).trees
    with Tree.open(tmp_path / "linux") as tree:
        assert tree.resolve(rule.branch) == checking.git(origin, "rev-parse", "HEAD").strip()


def test_the_command_of_the_server_is_the_service() -> None:
    """The wrapper for root's prompt has the same user and folders as the unit."""
    unit, wrapper = (DEPLOY / "reviewbot.service").read_text(), (DEPLOY / "reviewbot-server").read_text()
    assert subprocess.run(["sh", "-n", DEPLOY / "reviewbot-server"], check=False).returncode == 0
    for line in re.findall(r"(?m)^Environment=(.*)$", unit):
        for setting in line.split():
            assert setting in wrapper
    assert "runuser -u reviewbot" in wrapper
    assert "User=reviewbot" in unit
    assert "/opt/reviewbot/bin/reviewbot" in unit
    assert "/opt/reviewbot/bin/reviewbot" in wrapper


def test_the_macro_for_mutt_makes_an_mbox_of_a_thread() -> None:
    """mutt sets the separator between messages; what the macro puts before them is the first one."""
    text = (DEPLOY / "RUNBOOK.md").read_text()
    separator = re.search(r'set pipe_sep = "\\n(From .*)\\n"', text)
    first = re.search(r"\(echo '(From .*?)'; cat\) \| reviewbot check -", text)
    assert separator
    assert first
    assert separator[1] == first[1]
    mails = [patch("a@b.example", "one", prefix="PATCH 1/2"), patch("c@b.example", "two", prefix="PATCH 2/2")]
    piped = b"".join(mail + f"\n{separator[1]}\n".encode() for mail in mails)
    series = fetch.parse(f"{first[1]}\n".encode() + piped, "mutt")
    assert [p.mail.message_id for p in series.patches] == ["a@b.example", "c@b.example"]
