"""`reviewbot demo`: the founding deadlocks on small code of our own."""

from __future__ import annotations

import rich_click as click

TITLES = {
    "wq-mem-reclaim/lost-flag": "a private thread",
    "shared-reserve/pool-of-all-devices": "a private reserve",
    "shrinker-io/gate-on-gfp-io": "allocation that does not recurse",
    "bio-order/rescued-on-the-same-work": "bios below never wait for bios above",
    "wait-under-lock/throttle-under-lock": "nobody sleeps holding what the waker needs",
}
"""Case of the corpus -> the guarantee that its patch takes away."""


@click.command()
@click.option("--short", is_flag=True, help="The verdicts only, without the drafted replies.")
def demo(short: bool) -> int:
    """Review five small patches, each of which takes away one guarantee that block I/O lives on.

    Needs no network and no kernel tree. Exit code 0 when all five are NACKed.
    """
    from reviewbot.bench import case
    from reviewbot.bench.demo import examine_case
    from reviewbot.report.output import summary
    from reviewbot.types import Decision

    cases = {c.name: c for c in case.load()}
    right = 0
    for number, (name, guarantee) in enumerate(TITLES.items(), 1):
        result = examine_case(cases[name])
        right += result.decision is Decision.NACK
        click.secho(f"{number}. {guarantee}: {cases[name].title}", bold=True)
        print("\n".join(summary(result)))
        for reply in result.replies if not short else ():
            print("\n" + "\n".join(f"    {line}".rstrip() for line in reply.body.split("\n")))
        print()
    print(f"{right} of {len(TITLES)} patches NACKed, each with a schedule that the simulator replayed.\n")
    print("A real message, in the git repository of a kernel:\n")
    print("    reviewbot check <message-id>              # fetched from lore")
    print("    reviewbot check some.eml --tree ~/linux   # or a file, a Maildir, - for standard input\n")
    print("It prints the verdict and a draft of the reply. Nothing is sent.")
    return 0 if right == len(TITLES) else 5
