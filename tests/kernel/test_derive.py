"""What a function does before its caller can decide anything, read as text."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from derive import TreeOfFunctions, begins, derived, written

from reviewbot.kernel.derived_schema import Derived

HEADER = "int quill(int *p);\nvoid quill_soon(void);\nint quill_try(void);\nvoid quill_off(void);\n"


def called(body: str) -> list[str]:
    """The calls that a function begins with."""
    ((_, found),) = begins(f"int quill(int *p)\n{{\n{body}\n}}\n".encode())
    return [name for name, _ in found.calls]


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("\tmutex_lock(&m);\n\tink(p);", ["mutex_lock", "ink"]),
        ("\tif (!p)\n\t\treturn 0;\n\tmutex_lock(&m);", ["mutex_lock"]),
        ("\tif (*p > 3)\n\t\treturn -EINVAL;\n\tmutex_lock(&m);", ["mutex_lock"]),
        (
            "\tif (*p > 3) {\n\t\tret = -EINVAL;\n\t\tgoto out;\n\t}\n\tmutex_lock(&m);\nout:\n\treturn ret;",
            ["mutex_lock"],
        ),
        ("\tret = ink(p);\n\tif (ret)\n\t\treturn ret;\n\tmutex_lock(&m);", ["ink", "mutex_lock"]),
        ("\treturn ink(p);", ["ink"]),
        ("\tif (ink(p))\n\t\treturn 0;\n\tmutex_lock(&m);", ["ink", "mutex_lock"]),
        ("\tif (*p)\n\t\tmutex_lock(&m);\n\tink(p);", ["ink"]),
        ("\tif (*p) {\n\t\tink(p);\n\t} else if (p[1]) {\n\t\tink(p + 1);\n\t}\n\tmutex_lock(&m);", ["mutex_lock"]),
        ("\tif (*p) {\n\t\tink(p);\n\t\treturn 0;\n\t}\n\tmutex_lock(&m);", []),
        ("\tfor (i = 0; i < 3; i++)\n\t\tink(p);\n\tmutex_lock(&m);", ["mutex_lock"]),
        ("\tif (d->off)\n\t\treturn 0;\n\tmutex_lock(&m);", ["mutex_lock"]),
        ("\tif (d->flags & QUIET)\n\t\treturn 0;\n\tmutex_lock(&m);", []),
        ("\tif (in_atomic())\n\t\treturn -EINVAL;\n\tmutex_lock(&m);", ["in_atomic"]),
        ("\tif (*p & NOWAIT)\n\t\treturn -EINVAL;\n\tmutex_lock(&m);", []),
        ("\twhile (*p)\n\t\tmutex_lock(&m);", []),
        ("\tret = *p && mutex_lock_killable(&m);", []),
        ("\tret = *p ? ink(p) : 0;", []),
        ("#ifdef CONFIG_QUILL\n\tmutex_lock(&m);\n#endif", []),
        ("\t{\n\t\tmutex_lock(&m);\n\t}", []),
    ],
)
def test_calls_before_anything_is_decided(body: str, calls: list[str]) -> None:
    assert called(body) == calls


def tree(folder: Path, files: dict[str, str]) -> Path:
    """A tree with the header that declares everything."""
    for path, text in {"include/linux/quill.h": HEADER, **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_sleep_is_followed_over_files(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "lib/quill.c": "static void ink(void)\n{\n\tmsleep(1);\n}\nint quill(int *p)\n{\n\tink();\n\treturn 0;\n}\n",
            "net/quill.c": "void quill_soon(void)\n{\n\tquill(0);\n}\n"
            "int quill_try(void)\n{\n\treturn kmalloc(8, GFP_ATOMIC);\n}\n",
        },
    )
    assert TreeOfFunctions(root).sleeping() == {"quill": "ink", "quill_soon": "quill"}
    assert derived([root]) == {"quill": "ink", "quill_soon": "quill"}


def test_a_name_that_one_of_two_definitions_does_not_sleep_in_is_left_out(tmp_path: Path) -> None:
    sleeps, busy = (f"void quill_off(void)\n{{\n\t{call};\n}}\n" for call in ("msleep(1)", "udelay(1)"))
    root = tree(tmp_path, {"lib/quill.c": sleeps, "net/quill.c": busy})
    assert derived([root]) == {}
    (root / "net/quill.c").write_text("void quill_off(void)\n{\n}\n")
    assert derived([root]) == {"quill_off": "msleep"}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    text = written(["quill", "quill_soon"], [tmp_path])
    assert msgspec.toml.decode(text, type=Derived).sleepers.split() == ["quill", "quill_soon"]
