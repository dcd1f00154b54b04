"""Repair of kernel C for a C parser: a table of small rules that rewrite macros which are syntax into plain C.

Every rule keeps the length of the text and its line breaks, so offsets in the repaired code are offsets in the file and
names are read back from there: a `while` where the file has `list_for_each_entry` is that macro. What the rules know of
the kernel by name is in `kernel/syntax.toml`. Rules of level 2 and 3 change what the code says, so they are used only
inside functions that have an error without them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reviewbot.csource import conditionals
from reviewbot.csource import repair_calls as calls
from reviewbot.csource import repair_words as words
from reviewbot.csource.text import SourceText


@dataclass(frozen=True, slots=True)
class RepairRule:
    """One repair: `before` and `after` are an example, of equal length, that the tests run."""

    name: str
    doc: str
    before: str
    after: str
    apply: Callable[[SourceText], None]
    level: int = 1


RULES: tuple[RepairRule, ...] = (
    RepairRule(
        "dead-code",
        "What #if 0 and #ifdef __cplusplus leave out.",
        "#if 0\na(\n#endif\n",
        "     \n  \n      \n",
        conditionals.dead_code,
    ),
    RepairRule(
        "conditions",
        "A condition of a directive that a parser has no grammar for is a name.",
        "#if A ? B : C\nint a;\n#endif\n",
        "#if C        \nint a;\n#endif\n",
        conditionals.conditions,
    ),
    RepairRule("spellings", "Other spellings of C's words.", "STATIC int x;", "static int x;", words.spellings),
    RepairRule(
        "annotations",
        "Words that mean nothing to a parser.",
        "int __init f(void);",
        "int        f(void);",
        words.annotation_words,
    ),
    RepairRule(
        "annotation-calls",
        "The same with arguments.",
        "void f(void) __releases(&a->lock);",
        "void f(void)                     ;",
        words.annotation_calls,
    ),
    RepairRule(
        "own-annotations",
        "The same, defined empty in this file.",
        "#define A\nA int f(void);",
        "         \n  int f(void);",
        words.own_annotations,
    ),
    RepairRule(
        "unknown-annotations",
        "A name before a type's first word is an annotation.",
        "A_FN\nstatic B_FN int f(void);",
        "    \nstatic      int f(void);",
        words.unknown_annotations,
    ),
    RepairRule(
        "unknown-words",
        "Of two names after a type that takes none, the odd one is an annotation.",
        "int ODD a(void);\nchar * b __odd;",
        "int     a(void);\nchar * b      ;",
        words.unknown_words,
    ),
    RepairRule(
        "asm",
        "Inline assembly is an opaque name.",
        'asm volatile("nop" : : "r" (x));',
        "Asm                            ;",
        words.asm,
    ),
    RepairRule("typeof", "typeof(...) is a type's name.", "typeof(*(a)) *b;", "typeof       *b;", words.typeof),
    RepairRule(
        "offsetof",
        "Their arguments may be expressions; plain calls then.",
        "offsetof(struct a, b.c)",
        "Offsetof(struct a, b.c)",
        words.offsetof,
    ),
    RepairRule(
        "strings",
        "One name may stand before a string.",
        '(KERN_INFO PREFIX "x")',
        '(          PREFIX "x")',
        words.strings,
    ),
    RepairRule(
        "case-ranges", "A range of cases is one expression.", "case 1 ... 5:", "case 1  |  5:", words.case_ranges
    ),
    RepairRule(
        "storage",
        "A macro call has no storage class.",
        "static DEFINE_MUTEX(a);",
        "       DEFINE_MUTEX(a);",
        calls.storage,
    ),
    RepairRule(
        "loose-macros",
        "A macro call at file scope needs no semicolon.",
        "EXPORT_SYMBOL(a)\nint b;",
        "                \nint b;",
        calls.loose_macros,
    ),
    RepairRule(
        "struct-groups",
        "A group of members is an anonymous struct.",
        "struct a {\n\tstruct_group(b, int c;);\n};",
        "struct a {\n\tstruct {        int c;};\n};",
        calls.struct_groups,
    ),
    RepairRule(
        "typed-variables",
        "DEFINE_PER_CPU(type, name) is a declaration.",
        "DEFINE_PER_CPU(struct a, b) = {};",
        "               struct a  b  = {};",
        calls.typed_variables,
    ),
    RepairRule(
        "macro-members",
        "A macro among the members of a struct declares its first argument.",
        "struct a {\n\tDECLARE_BITMAP(b, 4);\n};",
        "struct a {\n\tD              b    ;\n};",
        calls.macro_members,
    ),
    RepairRule(
        "macro-variables",
        "So does one with an initialiser; one before a name is its type.",
        "void f(void)\n{\n\tDECLARE_BITMAP(a, 4) = { 0 };\n\tDEFINE_HEAP(int, b) c;\n}",
        "void f(void)\n{\n\tD              a     = { 0 };\n\tD                   c;\n}",
        calls.macro_variables,
    ),
    RepairRule(
        "system-calls",
        "SYSCALL_DEFINEn is a function of that name.",
        "SYSCALL_DEFINE2(dup, int, a, int, b)\n{",
        "long            dup( int  a, int  b)\n{",
        calls.system_calls,
    ),
    RepairRule(
        "type-arguments",
        "A type handed to a macro becomes a name.",
        "void f(void)\n{\n\tg(a, struct b *, unsigned long);\n}",
        "void f(void)\n{\n\tg(a,        b  , Unsigned_long);\n}",
        calls.type_arguments,
    ),
    RepairRule(
        "empty-arguments",
        "Empty arguments go, an operator becomes a value, statements become expressions.",
        "f(a, ); f(, a); f(a, <=, b); f(a; b;);",
        "f(a  ); f(  a); f(a,0  , b); f(a| b );",
        calls.empty_arguments,
    ),
    RepairRule(
        "leaving-arguments",
        "A statement handed to a macro becomes an expression.",
        "try_lock(a, return -EIO, break);",
        "try_lock(a,        -EIO, Break);",
        calls.leaving_arguments,
    ),
    RepairRule(
        "each-macros",
        "do_each_x() { } while_each_x(); is a loop with its test at the end, do { } for_each_x(); too.",
        "void f(void)\n{\n\tdo_each_thread(a, b) {\n\t} while_each_thread(a, b);\n\tdo {\n\t} for_each_c(d);\n}",
        "void f(void)\n{\n\tdo                   {\n\t} while            (a, b);\n\tdo {\n\t} while     (d);\n}",
        calls.each_macros,
    ),
    RepairRule(
        "statement-macros",
        "A call that no semicolon ends is a statement all the same.",
        "void f(void)\n{\n\tif (a)\n\t\tPRINT(b)\n\telse\n\t\tc();\n}",
        "void f(void)\n{\n\tif (a)\n\t\t{      }\n\telse\n\t\tc();\n}",
        calls.statement_macros,
    ),
    RepairRule(
        "block-macros",
        "A macro that a block follows is a loop.",
        "void f(void)\n{\n\tfor_each_set_bit(i, a, b)\n\t\tg();\n}",
        "void f(void)\n{\n\twhile           (i, a, b)\n\t\tg();\n}",
        calls.block_macros,
    ),
    RepairRule(
        "function-macros",
        "A macro that a function's body follows is a type and a name.",
        "CLOSURE_CALLBACK(a)\n{\n}",
        "C              K(a)\n{\n}",
        calls.function_macros,
    ),
    RepairRule(
        "directives",
        "Inside braces both arms of a conditional are read.",
        "#ifdef A\nb();\n#endif\n",
        "        \nb();\n      \n",
        conditionals.both_arms,
        level=2,
    ),
    RepairRule(
        "first-arm",
        "Inside braces only the first arm of a conditional is read.",
        "#ifdef A\nb();\n#else\nc(\n#endif\n",
        "        \nb();\n     \n  \n      \n",
        conditionals.first_arm,
        level=3,
    ),
)


def repair(text: SourceText) -> None:
    """Apply the rules of level 1 to the code of `text`, in their order."""
    for rule in RULES:
        if rule.level == 1:
            rule.apply(text)
