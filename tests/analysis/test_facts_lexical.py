"""A rough reading: what it finds, and that nothing makes it fail."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reviewbot.analysis.code import lexical

FILE = b"""
#define MACRO(x) do { hidden(x); } while (0)
/* commented_out(x); */
struct workqueue_struct *pump_wq;
static int own;
DEFINE_MUTEX(pump_lock);
extern int elsewhere;

static void pump_work(struct work_struct *work)
{
\tmutex_lock(&pump_lock);
\tif (READY)
\t\tprintk("not_a_call(x)\\n");
}

int __must_check pump_start(struct pump *p,
\t\t\t    int n) __acquires(&p->lock)
{
\treturn queue_work(pump_wq, &p->work);
}

static const struct pump_ops ops = {
\t.start = pump_start,
\t.work\t= &pump_work,
};
"""


def test_what_a_file_says() -> None:
    words = lexical.read(FILE)
    assert [(f.name, f.static, f.line, f.end) for f in words.functions] == [
        ("pump_work", True, 9, 14),
        ("pump_start", False, 16, 20),
    ]
    assert [f.calls for f in words.functions] == [("mutex_lock", "printk"), ("queue_work",)]
    assert set(words.variables) == {"pump_wq", "pump_lock"}
    assert words.slots == (("start", "pump_start"), ("work", "pump_work"))
    assert {"pump_lock", "pump_wq"} <= set(words.arguments)


def test_what_is_no_text_says_nothing() -> None:
    assert lexical.read(b"int f(void)\n{\n}\n\0") == lexical.FileWords()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"\n{", b"\n}", b"(", b")", b"/*", b'"', b"\\", b"#if", b"f", b";", b"\n", b","]), max_size=200
    )
)
def test_nonsense(parts: list[bytes]) -> None:
    for function in lexical.read(b"".join(parts)).functions:
        assert 0 < function.line <= function.end
