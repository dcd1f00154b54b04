"""What the code says: from units of C to facts, per function and through calls.

    program = programs.around(source, paths)          # the files beside `paths`, and the headers that they include
    facts = program.facts(paths)               # all facts of these files: a Facts
    facts[Lock], facts.of("name")            # by kind, by function
    after.facts(paths) - before.facts(paths) # what a change adds; the other way round: takes away

A Fact (`kinds`) is a frozen struct with `function`, `at` (its line, no part of its identity) and what it says; objects
go by identities that survive renamed locals and moved lines (`objects`). Functions go by key, `file:name`
(`program.named("name")` finds keys):

    program.entered(key)      the contexts it runs in, each with the chain of calls from its root
    program.roots(key)        everything it may be entered from, on whatever way: to say where it does not run
    program.does(key)         everything it does through its calls: Effect -> Reason;
                            `program.effects.chain(key, effect)` is the way down to the line
    program.locking.record(key)   locks at each call, and what its returns leave
    program.callers(key), program.callees(key), program.links.reached(key, call)
    program.served()          work items that I/O waits for, with both chains that say so

What could not be read gives no fact: rules treat that as silence.
"""

from reviewbot.analysis.events.collection import Facts
from reviewbot.analysis.events.kinds import Fact
from reviewbot.analysis.program.program import Program

__all__ = ["Fact", "Facts", "Program"]
