"""What the kernel's core calls back, and what it holds then: each kind with a deadlock and its harmless twin."""

from __future__ import annotations

import re

import pytest

from reviewbot.analysis.program.program import Program
from reviewbot.csource.lower import lower
from reviewbot.detect.edges import Circle
from reviewbot.detect.waitfor import circles
from reviewbot.function_key import FunctionKey, name_of

FILE = "drivers/misc/small.c"
HEAD = """
struct mutex { int x; };
struct rw_semaphore { int x; };
struct completion { int x; };
struct device { struct mutex mutex; };
struct usb_interface { int x; };
struct file_operations { int (*open)(struct inode *i, struct file *f); };
struct miscdevice { const struct file_operations *fops; };
struct usb_class_driver { const struct file_operations *fops; };
struct net_device { int mtu; };
struct net_device_ops { int (*ndo_change_mtu)(struct net_device *dev, int mtu); };
struct dev_pm_ops { int (*runtime_resume)(struct device *dev); int (*runtime_suspend)(struct device *dev); };
struct usb_serial_driver { int (*write)(struct tty_struct *tty, struct usb_serial_port *port); };
struct notifier_block { int (*notifier_call)(struct notifier_block *nb, unsigned long event, void *data); };
struct vb2_queue { struct mutex *lock; };
struct vb2_ops { void (*stop_streaming)(struct vb2_queue *q); };
struct input_handler { int (*connect)(struct input_handler *handler); };
struct priv { struct mutex lock; struct device *dev; struct device *parent; struct net_device *net; struct net_device *below;
              struct vb2_queue queue; struct mutex other; struct completion done; };
"""
SHARED = "static struct mutex shared;\n"
LOCK, UNLOCK = "mutex_lock(&p->lock);", "mutex_unlock(&p->lock);"


def program(text: str) -> Program:
    """One file."""
    return Program.of_units({FILE: lower((HEAD + text).encode())})


def closed(text: str) -> list[tuple[str, str, str]]:
    """The wait cycles (kind, lock, object) that come with what stands between the marks « and »."""
    text = text.replace("UNLOCK", UNLOCK).replace("LOCK", LOCK)
    old, new = program(re.sub("«.*?»", "", text)), program(re.sub("[«»]", "", text))
    names = [(FILE, name_of(key)) for key in new.functions()]
    found = [x for x in circles(old, new, names) if isinstance(x, Circle) and not x.doubts]
    return list(dict.fromkeys((x.kind, x.lock, x.object) for x in found))


RESUME = f"""
static int resume(struct device *dev) {{ struct priv *p = dev_get_drvdata(dev); {LOCK} {UNLOCK} return 0; }}
static const struct dev_pm_ops ops = {{ SET_RUNTIME_PM_OPS(NULL, resume, NULL) }};
static int probe(struct device *dev, struct priv *p) {{ p->dev = dev; dev_set_drvdata(dev, p); return 0; }}
"""
OPEN = """
static int open(struct inode *i, struct file *f) {{ mutex_lock(&shared); mutex_unlock(&shared); return 0; }}
static const struct file_operations ops = {{ .open = open }};
static {0} thing = {{ .fops = &ops }};
"""
MTU = f"""
static int set(struct net_device *dev, int mtu) {{ struct priv *p = netdev_priv(dev); {LOCK} {UNLOCK} return 0; }}
static const struct net_device_ops ops = {{ .ndo_change_mtu = set }};
static int probe(struct net_device *dev) {{ struct priv *p = netdev_priv(dev); p->net = dev; return 0; }}
"""
NOTE = """
static int note(struct notifier_block *nb, unsigned long event, void *data)
{ mutex_lock(&shared); mutex_unlock(&shared); return 0; }
static struct notifier_block nb = { .notifier_call = note };
static int init(void) { return register_reboot_notifier(&nb); }
"""


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        (RESUME + "void run(struct priv *p) { «LOCK» pm_runtime_get_sync(p->dev); «UNLOCK» }", ("self", "priv.lock")),
        (RESUME + "void run(struct priv *p) { «LOCK» pm_runtime_get_sync(p->parent); «UNLOCK» }", None),
        (RESUME + "void run(struct priv *p) { «LOCK» pm_runtime_get(p->dev); «UNLOCK» }", None),
        (
            RESUME
            + "void run(struct device *d) { struct priv *p = dev_get_drvdata(d); «LOCK» pm_runtime_resume(d); «UNLOCK» }",
            ("self", "priv.lock"),
        ),
        (MTU + "void run(struct priv *p) { «LOCK» dev_set_mtu(p->net, 3); «UNLOCK» }", ("self", "priv.lock")),
        (MTU + "void run(struct priv *p) { «LOCK» dev_set_mtu(p->below, 3); «UNLOCK» }", None),
        (
            MTU + "static void more(struct net_device *dev, int n) { dev_set_mtu(dev, n); }\n"
            "void run(struct net_device *dev) { struct priv *p = netdev_priv(dev); «LOCK» more(dev, 3); «UNLOCK» }",
            ("self", "priv.lock"),
        ),
        (
            MTU + "static void more(struct net_device *dev, int n) { dev_set_mtu(dev, n); }\n"
            "void run(struct priv *p) { «LOCK» more(p->below, 3); «UNLOCK» }",
            None,
        ),
        (
            SHARED
            + OPEN.format("struct miscdevice")
            + "void run(void) { «mutex_lock(&shared);» misc_deregister(&thing); «mutex_unlock(&shared);» }",
            ("lock", f"{FILE}:shared"),
        ),
        (
            SHARED
            + OPEN.format("struct usb_class_driver")
            + "void run(void *i) { «mutex_lock(&shared);» usb_deregister_dev(i, &thing); «mutex_unlock(&shared);» }",
            ("lock", f"{FILE}:shared"),
        ),
        (
            SHARED
            + OPEN.format("struct usb_class_driver")
            + "void run(void *i) { «mutex_lock(&shared);» misc_deregister(i); «mutex_unlock(&shared);» }",
            None,
        ),
        (
            SHARED
            + NOTE
            + "void run(void) { «mutex_lock(&shared);» unregister_reboot_notifier(&nb); «mutex_unlock(&shared);» }",
            ("lock", f"{FILE}:shared"),
        ),
        (
            SHARED
            + NOTE
            + "void run(void) { «mutex_lock(&shared);» unregister_pm_notifier(&nb); «mutex_unlock(&shared);» }",
            None,
        ),
        (
            "static void late(void *data, int c) { struct priv *p = data; mutex_lock(&p->lock); mutex_unlock(&p->lock); }\n"
            "void run(struct priv *p) { «LOCK» async_schedule(late, p); «UNLOCK» }",
            ("self", "priv.lock"),
        ),
        (
            "static void late(void *data, int c) { struct priv *p = data; mutex_lock(&p->lock); mutex_unlock(&p->lock); }\n"
            "void run(struct priv *p) { «LOCK» async_schedule_dev_nocall(late, p); «UNLOCK» }",
            None,
        ),
        (
            "static int visit(struct pci_dev *d, void *data) { «pci_enable_link_state(d, 3);» return 0; }\n"
            "void run(struct pci_bus *b) { pci_walk_bus(b, visit, b); }",
            ("self", "pci_bus_sem"),
        ),
        (
            "static int visit(struct pci_dev *d, void *data) { «pci_enable_link_state_locked(d, 3);» return 0; }\n"
            "void run(struct pci_bus *b) { pci_walk_bus(b, visit, b); }",
            None,
        ),
    ],
)
def test_what_the_core_runs_or_holds(text: str, cycle: tuple[str, str] | None) -> None:
    found = closed(text)
    assert [(kind, lock) for kind, lock, _ in found] == ([cycle] if cycle else [])


def held(text: str, name: str) -> list[set[str]]:
    """The locks of each way into a function."""
    found = program(text)
    (key,) = found.named(name)
    return [set(way.locks()) for way in found.entry(FunctionKey(key))]


def test_the_lock_that_the_core_was_given_is_the_drivers() -> None:
    text = """
static void stop(struct vb2_queue *q) { struct priv *p = vb2_get_drv_priv(q); p->dev = NULL; }
static const struct vb2_ops ops = { .stop_streaming = stop };
static int probe(struct priv *p) { struct vb2_queue *q = &p->queue; %s return vb2_queue_init(q); }
"""
    assert held(text % "q->lock = &p->lock;", "stop") == [{"priv.lock"}]
    assert held(text % "q->lock = &p->lock; q->lock = &p->other;", "stop") == [{"vb2_queue.lock"}]
    assert held(text % "", "stop") == [{"vb2_queue.lock"}]


def test_a_table_is_entered_with_what_is_held_where_it_was_handed_to() -> None:
    text = """
static int note(struct notifier_block *nb, unsigned long event, void *data) { return 0; }
static struct notifier_block nb = { .notifier_call = note };
static int init(void) { return %s(&nb); }
"""
    assert held(text % "register_netdevice_notifier", "note") == [{"rtnl_mutex"}]
    assert held(text % "register_other_notifier", "note") == [set()]


@pytest.mark.parametrize(
    "macro",
    [
        "static const struct dev_pm_ops ops = { SET_RUNTIME_PM_OPS(NULL, wake, NULL) };",
        "static DEFINE_RUNTIME_DEV_PM_OPS(ops, NULL, wake, NULL);",
        "static UNIVERSAL_DEV_PM_OPS(ops, NULL, wake, NULL);",
    ],
)
def test_a_macro_fills_a_table(macro: str) -> None:
    found = program("static int wake(struct device *dev) { return 0; }\n" + macro)
    assert found.callgraph.targets["dev_pm_ops.runtime_resume"] == {f"{FILE}:wake"}
