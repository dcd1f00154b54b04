"""`reviewbot cache`: what is kept for later reviews, and how to be rid of it."""

from __future__ import annotations

import rich_click as click


@click.command()
@click.option("--clear", is_flag=True, help="Remove all of it. It is made again when it is needed.")
def cache(clear: bool) -> None:
    """Show what is in the cache folder, how large it is, and how large it may become.

    REVIEWBOT_CACHE_MEGABYTES in the environment is another bound than 2048. What was not used longest goes first.
    """
    from reviewbot.process import cache as kept
    from reviewbot.text import clean

    where = clean(str(kept.folder()))
    if clear:
        click.echo(f"{where}: {_size(kept.clear())} removed")
        return
    sizes = dict.fromkeys(kept.PARTS, 0)
    for entry in kept.entries():
        part = entry.path.relative_to(kept.folder()).parts[0]
        sizes[part] = sizes.get(part, 0) + entry.size
    click.echo(f"{where}: {_size(sum(sizes.values()))} of at most {_size(kept.bound())}")
    for part, size in sizes.items():
        if size:
            click.echo(f"{_size(size):>9}  {clean(part):8} {kept.PARTS.get(part, '')}".rstrip())


def _size(number: int) -> str:
    return f"{number / (1 << 20):.0f} MB"
