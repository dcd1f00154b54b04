"""One module a command: its options, and the few lines that join stages for it. None of them leaves the process.

A command returns its exit code (None is 0). `TABLE` says which module holds which command, so that starting one command
imports no other: adding a command is a module here and a line in the table.
"""

TABLE: dict[str, str] = {
    "check": "check",
    "watch": "watch",
    "drafts": "drafts",
    "explain": "explain",
    "simulate": "simulate",
    "rules": "rules",
    "new-rule": "new_rule",
    "facts": "facts",
    "audit": "audit",
    "index": "index",
    "backtest": "backtest",
    "bench": "bench",
    "replay": "replay",
    "report": "report",
    "b4-check": "b4",
    "b4-review": "b4",
    "demo": "demo",
    "cache": "cache",
    "site": "site",
    "serve": "site",
    "reproduce": "reproduce",
}
"""Command -> module in this package. The click command in it has the same name, with `_` for `-`."""
