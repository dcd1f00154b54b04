"""What hostile patches and mails cost: `python tests/benchmarks/hostile.py [--scale FACTOR] [--seconds N] [CASE...]`.

Each case is a patch that adds a monster to a small driver, beside a deadlock in another function of the same file, or a
mail that is a monster itself. The tree is a git repository of that one driver. A whole `reviewbot check` runs under
limits of processor time and memory; printed are its seconds of processor time, its peak memory, its exit code, whether
the deadlock was found all the same, and its verdict line.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 10, 500
"""What a check may take: processor time and resident memory."""
DRIVER = "drivers/md/dm-depot.c"
HEAD = """\
// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/device-mapper.h>
#include <linux/mutex.h>

struct depot {
	struct dm_dev *dev;
	struct mutex lock;
	struct mutex table_lock;
	unsigned long count;
	bool full;
};

static void depot_reset(struct depot *d)
{
	mutex_lock(&d->lock);
	d->full = false;
	mutex_unlock(&d->lock);
}

static int depot_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	struct depot *d = ti->private;

	mutex_lock(&d->lock);
	if (d->full) {
		mutex_unlock(&d->lock);
		return -EBUSY;
	}
	d->full = true;
	mutex_unlock(&d->lock);
	return 0;
}

static void depot_fill(struct depot *d)
{
	mutex_lock(&d->table_lock);
	d->full = true;
	mutex_unlock(&d->table_lock);
}

"""
FAULT = ("\td->full = true;\n\tmutex_unlock(&d->lock);", "\tdepot_reset(d);\n\tmutex_unlock(&d->lock);")
"""The deadlock that each patch brings beside the monster: depot_reset() takes the lock that its caller holds."""
TAIL = """\
static int depot_map(struct dm_target *ti, struct bio *bio)
{
	struct depot *d = ti->private;

	bio_set_dev(bio, d->dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static int depot_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct depot *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return -ENOMEM;
	mutex_init(&d->lock);
	ti->private = d;
	return 0;
}

static struct target_type depot_target = {
	.name		= "depot",
	.module		= THIS_MODULE,
	.ctr		= depot_ctr,
	.map		= depot_map,
	.message	= depot_message,
};
module_dm(depot);
"""
MAIL = """\
From: A Developer <developer@example.org>
To: dm-devel@lists.example.org
Date: Tue, 3 Nov 2026 10:12:00 +0000
Message-ID: <hostile@example.org>
Subject: [PATCH] dm depot: reset the depot when it is free
"""
LETTER = "\nIt is what the helper is for.\n\nSigned-off-by: A Developer <developer@example.org>\n---\n"


def function(body: str, name: str = "depot_monster") -> str:
    return f"static int {name}(struct depot *d, int a)\n{{\n\tint i = 0;\n\n{body}\n\treturn i;\n}}\n\n"


def each(count: int, text: str, joint: str = "\n") -> str:
    """`count` copies of `text`, in which % is the copy's number."""
    return joint.join(text.replace("%", str(at)) for at in range(count))


def both(count: int, before: str, after: str, inside: str = "") -> str:
    return before * count + inside + after * count


def nested(size: int) -> str:
    return "\n".join(f"struct n{at} {{" for at in range(size)) + "\nint x;\n" + "} m;\n" * (size - 1) + "};\n\n"


CODE: dict[str, tuple[int, Callable[[int], str]]] = {
    # text
    "string-unterminated": (500_000, lambda n: '\tprintk("' + '\\"' * n + "\n"),
    "string-in-function": (500_000, lambda n: function('\tprintk("' + '\\"' * n + ");")),
    "quotes-unterminated": (200_000, lambda n: function("\ti = '" + "\\'" * n + ";")),
    "comment-unterminated": (500_000, lambda n: "/*" + " *" * n + "\n"),
    "comment-starts": (200_000, lambda n: function("\ti = 1; /" + "/* " * n + "*/")),
    "comment-continued": (200_000, lambda n: function("\ti = 1; //" + "\\\n" * n)),
    "line-of-spaces": (1_500_000, lambda n: function("\ti =" + " " * n + "1;")),
    "line-of-words": (300_000, lambda n: function("\ti = " + "a " * n + ";")),
    "long-name": (1_000_000, lambda n: function("\ti = " + "a" * n + "();")),
    "blank-lines": (500_000, lambda n: function("\n" * n)),
    "parens-open": (100_000, lambda n: function("\ti = " + "(" * n + ";")),
    "braces-open": (50_000, lambda n: function("{" * n)),
    "braces-closed": (50_000, lambda n: function("}" * n)),
    "hash-lines": (50_000, lambda n: "#\n" * n),
    "nul-bytes": (300_000, lambda n: function("\ti = 1;" + "\x01" * n)),
    # nesting
    "parens": (20_000, lambda n: function(f"\ti = {both(n, '(', ')', 'a')};")),
    "calls-nested": (5_000, lambda n: function(f"\ti = {both(n, 'f(', ')', 'a')};")),
    "unary": (50_000, lambda n: function(f"\ti = {'!' * n}a;")),
    "stars": (50_000, lambda n: function(f"\ti = {'*' * n}a;")),
    "casts": (20_000, lambda n: function(f"\ti = {'(int)' * n}a;")),
    "index-nested": (10_000, lambda n: function(f"\ti = {both(n, 'd[', ']', 'a')};")),
    "arrows": (20_000, lambda n: function(f"\ti = d{'->d' * n};")),
    "conditional-nested": (10_000, lambda n: function(f"\ti = {'a ? f(a) : ' * n}0;")),
    "assign-chain": (20_000, lambda n: function(f"\ti = {'a = ' * n}0;")),
    "blocks-nested": (
        10_000,
        lambda n: function(both(n, "{\n", "}\n", "mutex_lock(&d->lock); mutex_unlock(&d->lock);")),
    ),
    "ifs-nested": (5_000, lambda n: function(both(n, "if (f(a)) {\n", "}\n", "i++;"))),
    "else-ifs": (5_000, lambda n: function(each(n, "\tif (a == %)\n\t\tf(%);\n\telse") + ";")),
    "loops-nested": (3_000, lambda n: function(both(n, "while (a--) {\n", "}\n", "f(a);"))),
    "switches-nested": (2_000, lambda n: function(both(n, "switch (a) { case 1:\n", "}\n", "f(a);"))),
    "statement-exprs": (3_000, lambda n: function(f"\ti = {both(n, '({ f(a); ', '; })', 'a')};")),
    "structs-nested": (5_000, nested),
    "structs-anonymous": (5_000, lambda n: "struct m {\n" + both(n, "struct {\n", "};\n", "int x;\n") + "};\n\n"),
    "initialiser-nested": (20_000, lambda n: f"static int x[] = {both(n, '{', '}', '1')};\n\n"),
    "initialiser-local": (5_000, lambda n: function(f"\tstruct s x = {both(n, '{ .a = ', '}', '1')};")),
    "declarator-nested": (10_000, lambda n: f"int {both(n, '(*', ')', 'x')};\n\n"),
    "pointers": (50_000, lambda n: f"int {'*' * n}x;\n\n"),
    "function-types": (5_000, lambda n: f"int x{both(n, '(int (*f)', ')', '(void)')};\n\n"),
    "enum-nested": (5_000, lambda n: "enum e { A = " + both(n, "sizeof(enum { B = ", "})", "1") + " };\n\n"),
    "ifdefs": (10_000, lambda n: function(each(n, "#ifdef A%\n\tf(%);\n#endif"))),
    "ifdefs-broken": (10_000, lambda n: function(each(n, "#ifdef A%\n\tif (a) {\n#endif"))),
    "ifdefs-file": (10_000, lambda n: each(n, "#ifdef A%\nint v%;\n#endif\n", "")),
    "ifdefs-nested": (5_000, lambda n: function(each(n, "#ifdef A%") + "\n\tf(a);\n" + "#endif\n" * n)),
    "ifdefs-open": (10_000, lambda n: function(each(n, "#ifdef A%"))),
    "elifs": (10_000, lambda n: function("#if X\n" + each(n, "#elif A%\n\tf(%);") + "\n#endif")),
    "errors": (5_000, lambda n: each(n, "int f%( {\n", "")),
    # long
    "and-chain": (10_000, lambda n: function(f"\tif ({each(n, 'a%', ' && ')})\n\t\tf(a);")),
    "and-calls": (5_000, lambda n: function(f"\tif ({each(n, 'f(%)', ' && ')})\n\t\tf(a);")),
    "or-value": (5_000, lambda n: function(f"\ti = {each(n, 'f(%)', ' || ')};")),
    "plus-chain": (20_000, lambda n: function(f"\ti = {each(n, '%', ' + ')};")),
    "comma-chain": (10_000, lambda n: function(f"\t{each(n, 'f(%)', ', ')};")),
    "arguments": (50_000, lambda n: function(f"\tf({each(n, '%', ', ')});")),
    "string-chain": (50_000, lambda n: function("\tf(" + each(n, '"%"', " ") + ");")),
    "statements": (20_000, lambda n: function(each(n, "\td->count = %;"))),
    "calls": (10_000, lambda n: function(each(n, "\tf%(d);"))),
    "same-calls": (10_000, lambda n: function(each(n, "\tdepot_reset(d);"))),
    "locks-nested": (
        2_000,
        lambda n: function(each(n, "\tmutex_lock(&d->l%);") + "\n" + each(n, "\tmutex_unlock(&d->l%);")),
    ),
    "locks-in-turn": (3_000, lambda n: function(each(n, "\tmutex_lock(&d->l%);\n\tmutex_unlock(&d->l%);"))),
    "locks-if-else": (
        3_000,
        lambda n: function(
            each(n, "\tif (a == %)\n\t\tmutex_lock(&d->l%);\n\telse\n\t\tmutex_lock(&d->m%);") + "\n\tmsleep(1);"
        ),
    ),
    "locks-if": (3_000, lambda n: function(each(n, "\tif (a == %)\n\t\tmutex_lock(&d->lock);\n"))),
    "guards": (3_000, lambda n: function(each(n, "\tguard(mutex)(&d->l%);"))),
    "guards-returns": (1_500, lambda n: function(each(n, "\tguard(mutex)(&d->l%);\n\tif (a == %)\n\t\treturn 0;"))),
    "scoped-guards": (1_500, lambda n: function(both(n, "scoped_guard(mutex, &d->lock) {\n", "}\n", "f(a);"))),
    "gotos": (
        2_000,
        lambda n: function(
            each(n, "l%:\n\tif (f(%))\n\t\tgoto l%;\n\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);")
        ),
    ),
    "gotos-all-ways": (
        2_000,
        lambda n: function(
            each(n, "l%:\n\tif (a == %)\n\t\tgoto k%;\n\tmutex_lock(&d->l%);")
            + "\n"
            + each(n, "k%:\n\tmutex_unlock(&d->l%);")
        ),
    ),
    "labels": (20_000, lambda n: function(each(n, "l%:\n\ti++;"))),
    "cases": (10_000, lambda n: function("\tswitch (a) {\n" + each(n, "\tcase %:\n\t\tf(%);\n\t\tbreak;") + "\n\t}")),
    "cases-locks": (
        3_000,
        lambda n: function("\tswitch (a) {\n" + each(n, "\tcase %:\n\t\tmutex_lock(&d->l%);") + "\n\t}"),
    ),
    "returns": (5_000, lambda n: function("\tmutex_lock(&d->lock);\n" + each(n, "\tif (a == %)\n\t\treturn %;"))),
    "locals": (10_000, lambda n: function(each(n, "\tint v% = f(%);"))),
    "shadowed": (3_000, lambda n: function(each(n, "\t{ struct s% x; f(&x); }"))),
    "literals": (3_000, lambda n: function(each(n, "\tf(&(struct s%){ .a = % });"))),
    "parameters": (10_000, lambda n: f"static int depot_monster({each(n, 'int a%', ', ')})\n{{\n\treturn 0;\n}}\n\n"),
    "garbage": (20_000, lambda n: each(n, "%define D% (% + 1)\n", "")),
    # many
    "functions": (3_000, lambda n: each(n, function("\tmutex_lock(&d->lock);\n\tmutex_unlock(&d->lock);", "f%"), "")),
    "ring": (
        300,
        lambda n: (
            each(n, "static int r%(struct depot *d, int a);\n")
            + each(n, function("\tmutex_lock(&d->l%);\n\ti = rX(d, a);\n\tmutex_unlock(&d->l%);", "r%"), "").replace(
                "rX", "r@"
            )
        ),
    ),
    "chain": (
        1_000,
        lambda n: each(n, function("\tmutex_lock(&d->l%);\n\ti = r@(d, a);\n\tmutex_unlock(&d->l%);", "r%"), ""),
    ),
    "fan": (40, lambda n: each(n, function("".join(f"\ti = r{k}(d, a);\n" for k in range(n)), "r%"), "")),
    "structs": (10_000, lambda n: each(n, "struct s% {\n\tint x;\n};\n", "")),
    "struct-huge": (50_000, lambda n: "struct s {\n" + each(n, "\tint x%;") + "\n};\n\n"),
    "struct-macros": (10_000, lambda n: "struct s {\n" + each(n, "\tDECLARE_BITMAP(x%, 4);") + "\n};\n\n"),
    "enum-huge": (50_000, lambda n: "enum e {\n" + each(n, "\tE%,") + "\n};\n\n"),
    "typedefs": (
        5_000,
        lambda n: "typedef int t0;\n" + each(n, "typedef t% t@;\n", "") + function(f"\tt{n} x = f(a);"),
    ),
    "typedef-ring": (
        1_000,
        lambda n: (
            f"typedef t{n} t0;\n"
            + each(n, "typedef t% t@;\n", "")
            + function("\tt0 *x = f(a);\n\tmutex_lock(&x->lock);")
        ),
    ),
    "struct-chain": (
        3_000,
        lambda n: (
            each(n, "struct s% {\n\tstruct s@ *n;\n};\n", "")
            + function("\tstruct s0 *x = f(a);\n\tmutex_lock(&x" + "->n" * n + "->lock);")
        ),
    ),
    "defines": (20_000, lambda n: each(n, "#define D% (% + 1)\n", "")),
    "define-chain": (
        5_000,
        lambda n: "#define D0(x) f(x)\n" + each(n, "#define D@(x) D%(x)\n", "") + function(f"\ti = D{n}(a);"),
    ),
    "define-doubles": (
        30,
        lambda n: (
            "#define D0(x) mutex_lock(x)\n"
            + each(n, "#define D@(x) do { D%(x); D%(x); } while (0)\n", "")
            + function(f"\tD{n}(&d->lock);")
        ),
    ),
    "define-values": (
        40,
        lambda n: "#define D0 1\n" + each(n, "#define D@ (D% + D%)\n", "") + function(f"\ti = kmalloc(1, D{n});"),
    ),
    "define-ring": (
        300,
        lambda n: "".join(f"#define D{k}(x) D{(k + 1) % n}(x)\n" for k in range(n)) + function("\ti = D0(a);"),
    ),
    "define-long": (
        200_000,
        lambda n: "#define D(x) f(x); \\\n" + "\tf(x); \\\n" * n + "\tf(x)\n" + function("\tD(a);"),
    ),
    "define-nested": (3_000, lambda n: f"#define D(x) {both(n, 'f(', ')', 'x')}\n" + function("\ti = D(a);")),
    "annotations": (10_000, lambda n: each(n, "#define A%\nA% int v%;\n", "")),
    "loose-macros": (10_000, lambda n: each(n, "EXPORT_SYMBOL(f%)\n", "")),
    "loose-nested": (1_000, lambda n: "EXPORT_SYMBOL(" + both(n, "f(", ")", "a") + ")\n"),
    "macro-calls": (20_000, lambda n: each(n, "module_param(f%, int, 0644);\n", "")),
    "statement-macros": (5_000, lambda n: function(each(n, "\tif (a)\n\t\tPRINT(%)\n\telse\n\t\tf(%);"))),
    "block-macros": (5_000, lambda n: function(each(n, "\tfor_each_thing(i, a)\n\t\tf(%);"))),
    "prototypes": (20_000, lambda n: each(n, "int p%(struct depot *d);\n", "")),
    "slots": (20_000, lambda n: "static struct ops x = {\n" + each(n, "\t.f% = g%,") + "\n};\n\n"),
    "asm": (5_000, lambda n: function(each(n, '\tasm volatile("nop" : : "r" (i));'))),
    "typeofs": (10_000, lambda n: function(each(n, "\ttypeof(a) v% = a;"))),
    "includes": (20_000, lambda n: each(n, "#include <linux/h%.h>\n", "")),
    "locals-guards": (
        1_500,
        lambda n: function(each(n, "\tvoid *p% __free(kfree) = kmalloc(%, GFP_KERNEL);\n\tif (!p%)\n\t\treturn 0;")),
    ),
    "work-items": (1_000, lambda n: function(each(n, "\tqueue_work(d->wq%, &d->work%);\n\tflush_work(&d->work%);"))),
    "waits": (2_000, lambda n: function(each(n, "\twait_event(d->q%, d->c% == %);\n\twake_up(&d->q%);"))),
    "allocations": (3_000, lambda n: function(each(n, "\tp% = kmalloc(%, GFP_KERNEL);"))),
}


def driver(name: str, size: int) -> tuple[str, str]:
    """The driver before and after the patch."""
    text = CODE[name][1](size)
    if name in ("ring", "chain"):
        parts = text.split("r@")
        wrap = size if name == "ring" else size + 1
        text = "".join(part + (f"r{(at + 1) % wrap}" if at < len(parts) - 1 else "") for at, part in enumerate(parts))
    elif "@" in text:
        lines = text.split("\n")
        at = iter(range(1, len(lines)))
        text = "\n".join(line.replace("@", str(next(at))) if "@" in line else line for line in lines)
    broken = HEAD.replace(*FAULT)
    return HEAD + TAIL, broken + text + TAIL


def diff(before: str, after: str) -> str:
    """A diff of the two; the monster in the middle is not compared line by line."""
    out = [f"diff --git a/{DRIVER} b/{DRIVER}\n--- a/{DRIVER}\n+++ b/{DRIVER}\n"]
    head = HEAD.replace(*FAULT)
    monster = after[len(head) : len(after) - len(TAIL)]
    hunks = list(difflib.unified_diff(HEAD.splitlines(True), head.splitlines(True), n=3))[2:]
    out += hunks
    if monster:
        added = monster.split("\n")
        added = added[:-1] if added[-1] == "" else added
        at = HEAD.count("\n") - 2
        kept = HEAD.splitlines()[-3:]
        new = TAIL.splitlines()[:3]
        out.append(f"@@ -{at},6 +{at},{6 + len(added)} @@\n")
        out += [f" {line}\n" for line in kept] + [f"+{line}\n" for line in added] + [f" {line}\n" for line in new]
    return "".join(out)


def plain() -> str:
    head = HEAD.replace(*FAULT)
    return diff(HEAD + TAIL, head + TAIL)


def parts(count: int) -> str:
    """A multipart mail of many parts, the patch first."""
    body = f'{MAIL}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    body += f"--b\nContent-Type: text/plain\n{LETTER}{plain()}\n"
    return body + each(count, "--b\nContent-Type: text/plain\n\npart %\n") + "\n--b--\n"


def parts_nested(count: int) -> str:
    out = [MAIL, "MIME-Version: 1.0\n"]
    for at in range(count):
        out.append(f'Content-Type: multipart/mixed; boundary="b{at}"\n\n--b{at}\n')
    return "".join([*out, f"Content-Type: text/plain\n{LETTER}{plain()}\n", *(f"--b{at}--\n" for at in range(count))])


def hunks(count: int) -> str:
    """A patch of many hunks to one new place each."""
    added = "".join(f"@@ -{at * 3 + 1},1 +{at * 3 + 1},1 @@\n-a\n+b\n" for at in range(count))
    return f"{MAIL}{LETTER}diff --git a/{DRIVER} b/{DRIVER}\n--- a/{DRIVER}\n+++ b/{DRIVER}\n{added}"


def files(count: int) -> str:
    made = each(
        count, "diff --git a/f%.c b/f%.c\nnew file mode 100644\n--- /dev/null\n+++ b/f%.c\n@@ -0,0 +1 @@\n+int x;\n", ""
    )
    return f"{MAIL}{LETTER}{plain()}{made}"


def thread(count: int) -> str:
    return each(
        count,
        "From mboxrd@z Thu Jan  1 00:00:00 1970\n"
        + MAIL.replace("hostile@", "hostile-%@").replace("[PATCH]", "Re: [PATCH]")
        + "\nHello.\n\n",
        "",
    )


MAILS: dict[str, tuple[int, Callable[[int], str]]] = {
    "from-lines": (300_000, lambda n: "From \n" * n),
    "from-lines-dated": (300_000, lambda n: "From mboxrd@z Thu Jan  1 00:00:00 1970\n" * n),
    "from-lines-in-body": (300_000, lambda n: MAIL + "\n" + "From \n" * n + LETTER + plain()),
    "headers": (100_000, lambda n: MAIL + each(n, "X-Header-%: a\n", "") + LETTER + plain()),
    "header-long": (
        80_000,
        lambda n: MAIL + "References:" + each(n, " <a%@example.org>", "\n") + "\n" + LETTER + plain(),
    ),
    "header-one-line": (1_000_000, lambda n: MAIL + "X-A: " + "a" * n + "\n" + LETTER + plain()),
    "header-encoded": (20_000, lambda n: MAIL.replace("dm depot:", "=?utf-8?q?a?= " * n) + LETTER + plain()),
    "recipients": (50_000, lambda n: MAIL + "Cc: " + each(n, "A <a%@example.org>", ", ") + "\n" + LETTER + plain()),
    "recipients-nested": (50_000, lambda n: MAIL + "Cc: " + "(" * n + "\n" + LETTER + plain()),
    "subject-brackets": (50_000, lambda n: MAIL.replace("[PATCH]", "[PATCH" + " [" * n + "]") + LETTER + plain()),
    "subject-res": (50_000, lambda n: MAIL.replace("[PATCH]", "Re: " * n + "[PATCH]") + LETTER + plain()),
    "mime-parts": (20_000, parts),
    "mime-nested": (2_000, parts_nested),
    "quoted-lines": (150_000, lambda n: MAIL + "\n" + "> quoted\n" * n + LETTER + plain()),
    "quote-marks": (300_000, lambda n: MAIL + "\n" + ">" * n + LETTER + plain()),
    "trailers": (50_000, lambda n: MAIL + "\n" + each(n, "Reviewed-by: A <a%@example.org>\n", "") + LETTER + plain()),
    "dashes": (300_000, lambda n: MAIL + "\n" + "---\n" * n + LETTER + plain()),
    "hunks": (100_000, hunks),
    "files": (3_000, files),
    "diff-headers": (25_000, lambda n: MAIL + LETTER + plain() + f"diff --git a/{DRIVER} b/{DRIVER}\n" * n),
    "replies": (5_000, thread),
}


@dataclass(frozen=True)
class Ran:
    """What a check took and said."""

    seconds: float
    megabytes: float
    code: int
    out: str
    error: str

    @property
    def line(self) -> str:
        """The first line that it said."""
        return ((self.out + self.error).strip().splitlines() or [""])[0][:110]

    @property
    def found(self) -> bool:
        """Whether it found the deadlock beside the monster."""
        return bool(re.search(r"^  confirmed: .*depot_message\(\)", self.out, re.MULTILINE))


def size_of(name: str) -> int:
    return (CODE.get(name) or MAILS[name])[0]


def run(name: str, size: int, folder: Path, seconds: int = SECONDS, megabytes: int = 1_500) -> Ran:
    """Check one case of a size in `folder`, killed after so many seconds of processor time and megabytes of memory."""
    if name in CODE:
        before, after = driver(name, size)
        mail = MAIL + LETTER + diff(before, after)
    else:
        mail = MAILS[name][1](size)
    tree = repository(folder)
    (folder / "patch.eml").write_text(mail)
    command = [sys.executable, "-c", "from reviewbot.cli import main; main()", "check", str(folder / "patch.eml")]
    command += ["--tree", str(tree), "--from", "A Reviewer <reviewer@example.org>"]

    def limit() -> None:
        for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, megabytes << 20)):
            resource.setrlimit(what, (most, resource.getrlimit(what)[1]))

    environment = {"HOME": str(folder), "PYTHONPATH": str(ROOT)}
    environment |= {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CACHE", "STATE", "CONFIG", "DATA")}
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | environment, preexec_fn=limit)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said, errors = out.read(), err.read()
    return Ran(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode, said, errors)


def repository(folder: Path) -> Path:
    """A git repository of the driver; made once in a folder."""
    tree = folder / "tree"
    if not tree.exists():
        (tree / DRIVER).parent.mkdir(parents=True)
        (tree / DRIVER).write_text(HEAD + TAIL)
        git = ["git", "-C", str(tree), "-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "a driver"], check=True)
    return tree


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    bad = 0
    for name in given.cases or [*CODE, *MAILS]:
        size = max(1, int(size_of(name) * given.scale))
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            ran = run(name, size, Path(folder), given.seconds)
        over = ran.seconds > SECONDS or ran.megabytes > MEGABYTES or ran.code not in (0, 1, 3, 4)
        bad += over
        mark = "!" if over else " "
        found = "found" if ran.found else ""
        print(
            f"{mark} {name:22} {size:9,} {ran.seconds:6.1f} s {ran.megabytes:6.0f} MB {ran.code:3} {found:5} {ran.line}",
            flush=True,
        )
    print(f"{bad} over {SECONDS} s or {MEGABYTES} MB, or without a verdict")


if __name__ == "__main__":
    main()
