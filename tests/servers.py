"""Real servers for the tests, each on a loopback port of its own; a test is skipped where its server is not there."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """Until somebody listens on a port."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.skip(f"{process.args[0]} does not start")  # type: ignore[index]


def _user(name: str) -> dict[str, object]:
    """Arguments for Popen to run as another user where we are root: some servers refuse to be."""
    if os.getuid():
        return {}
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        pytest.skip(f"we are root, and there is no user {name} to run the server as")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server with an empty database; its SQLAlchemy URL."""
    pytest.importorskip("psycopg", reason="no psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/")]
    bin_ = found[-1].resolve().parent
    if not (bin_ / "initdb").exists():
        pytest.skip("no PostgreSQL server (Debian's postgresql)")
    user = _user("postgres")
    data = folder / "pg"
    data.mkdir(mode=0o700)
    if user:
        os.chown(data, user["user"], user["group"])  # type: ignore[arg-type]
        for parent in folder.parents:
            if parent.stat().st_uid == os.getuid() and parent != Path("/") and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        folder.chmod(0o711)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    make = [bin_ / "initdb", "-D", data, "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8", "--locale=C"]
    if subprocess.run(make, check=False, **quiet, **user).returncode:  # type: ignore[call-overload]
        pytest.skip("initdb fails here")
    port = free_port()
    settings = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}"]
    server = subprocess.Popen([bin_ / "postgres", "-D", data, "-p", str(port), *settings], **quiet, **user)  # type: ignore[call-overload]
    try:
        wait_for(port, server)
        url = f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        import psycopg

        for _ in range(100):
            try:
                psycopg.connect(url.replace("+psycopg", "")).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


@contextmanager
def dovecot(folder: Path, password: str = "secret") -> Iterator[int]:
    """An IMAP server for the user `ann`; its port."""
    program = shutil.which("dovecot") or "/usr/sbin/dovecot"
    if not Path(program).exists():
        pytest.skip("no IMAP server (Debian's dovecot-imapd)")
    if os.getuid():
        pytest.skip("dovecot wants to be started by root")
    _user("dovecot")
    port = free_port()
    owner = pwd.getpwnam("nobody")
    box = folder / "mail"
    box.mkdir()
    os.chown(box, owner.pw_uid, owner.pw_gid)
    for parent in (folder, *folder.parents):
        if parent != Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    (folder / "users").write_text(f"ann:{{PLAIN}}{password}:{owner.pw_uid}:{owner.pw_gid}::{box}\n")
    (folder / "dovecot.conf").write_text(
        f"""
base_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{box}/Maildir
first_valid_uid = 1
first_valid_gid = 1
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
namespace inbox {{
  inbox = yes
}}
"""
    )
    server = subprocess.Popen(
        [program, "-F", "-c", str(folder / "dovecot.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def public_inbox(folder: Path, epoch: Path) -> Iterator[str]:
    """A public-inbox server whose only epoch is a bare git repository; the URL of the inbox."""
    if not shutil.which("public-inbox-httpd"):
        pytest.skip("no public-inbox (Debian's public-inbox)")
    port = free_port()
    home = folder / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "PI_CONFIG": str(home / "config"),
        "PI_DIR": str(home),
        "PI_EMERGENCY": str(home / "emergency"),
    }
    url = f"http://127.0.0.1:{port}/dm"
    make = ["public-inbox-init", "-V2", "-L", "basic", "dm", str(home / "dm"), url, "dm@list.example"]
    if subprocess.run(make, env=environment, capture_output=True, check=False).returncode:
        pytest.skip("public-inbox-init fails here")
    shutil.rmtree(home / "dm/git/0.git")
    (home / "dm/git/0.git").symlink_to(epoch)
    server = subprocess.Popen(
        ["public-inbox-httpd", "-l", f"127.0.0.1:{port}", "-W0"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
        yield url
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """A web server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dm"
    finally:
        server.shutdown()
        server.server_close()
