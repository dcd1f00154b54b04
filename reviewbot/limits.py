"""Every limit of the reading, the searches and the simulator, with the reason for its number.

What meets a limit is left out and never concluded from: a function is not read, a candidate is not looked into, a replay is
inconclusive.
"""

from __future__ import annotations

# --- Reading C (csource) ---------------------------------------------------------------------------------------------

MAX_FILE_BYTES = 6_000_000
"""A file with more bytes than this (generated register headers) is not read."""
MAX_MACRO_BYTES = 8_000
"""A function-like macro with a longer body is not read: such bodies are tables or whole functions made by the preprocessor."""
MAX_LOOSE_CALL_BYTES = 4_000
"""A macro call without a semicolon that is longer is not read by itself."""
MAX_STATEMENT_NESTING = 100
"""Statements that are nested deeper are not read, nor is their function: the reader recurses into them."""
MAX_LOCKS_OF_FUNCTION = 48
"""A function that takes more different locks is not read: each pair of them is an order to be looked into. Lockdep gives
up at as many that a task holds (MAX_LOCK_DEPTH); no function of block, drivers/md and fs/ext4 comes near."""
MAX_FUNCTION_STEPS = 4_000
"""A function with more events, blocks and ways between them is not read: what is asked of it later grows with the
square of that. The largest of the block layer, file systems and storage drivers has 1,500."""
MAX_EXPRESSION_DEPTH = 80
"""An expression that is nested deeper is not read, nor is its function: the readers of the form recurse into it."""
MAX_EXPRESSION_TEXT = 200
"""Characters of an expression that are kept for showing it."""
MAX_STRUCT_NESTING = 40
"""A struct in more structs than this is not read: the reader recurses into them."""
MAX_TABLE_SLOTS = 20_000
"""Functions in the tables of one file; more are a table that a program wrote."""
MAX_INITIALISER_NESTING = 8
"""Structs inside of structs of an initialiser: deeper ones hold no operations."""
MAX_ARGUMENT_BYTES = 60_000
"""A parenthesis that is further than this from its partner is left alone."""
MAX_PARENTHESIS_NESTING = 40
"""So is one inside more parentheses than this: rules look through all that is between two of them."""
MAX_LOST_LINES = 2_000
"""A function that an error nearby has swallowed is read by itself when it has no more lines."""
MAX_HEAD_LINES = 25
"""Lines that the head of a function may take."""
MAX_HEAD_BYTES = 500
"""Bytes of a line that may open a body at its end, and of a head."""
MAX_CALL_PREFIX_BYTES = 120
"""How far before a call what it belongs to is looked for."""
MAX_SECOND_ARGUMENTS_BYTES = 2_000
"""Longest second parenthesis of a call."""

# --- The program: names, call graph, locks, summaries (analysis) -----------------------------------------------------

MAX_LOCAL_CHAIN = 6
"""Assignments from local to local that are followed to what a name stands for."""
MAX_CANONICAL_DEPTH = 6
"""Values of values that a local's canonical words are made of; deeper it is some value of its type."""
MAX_CANONICAL_TEXT = 300
"""Characters of canonical words: longer ones are those of tables that are built in place."""
MAX_REACHING_VALUES = 4
"""Values that can reach a place and are still told apart: an error variable that collects more says nothing."""
MAX_GUARDED_EVENTS = 1_500
"""Events of a function, with those of its helpers, that are compared; the largest function of ext4 has 600."""
MAX_COMPARED_CONDITIONS = 6
"""Different conditions under which one thing is done on both sides: more are compared by their text alone."""
MAX_CONDITIONS_SHOWN = 3
"""Conditions of a thing that are shown with it: the nearest ones say why it is done."""
MAX_LINES_OF_STUB = 8
"""Lines of an inline function that stands in a header for one that an option takes away: it does nothing, or frees."""
MAX_EDGES_OF_CHANGE = 20_000
"""Hold-and-wait edges of the functions of a change that are looked at: a large patch of a filesystem has some thousand, a file
made to be a ring of locks a hundred thousand."""
MAX_LEADS_KEPT = 5_000
"""Leads of a change that came to nothing and are kept to be told: a file made to have a ring of locks has a hundred thousand."""
MAX_WARNING_SHOWN = 160
"""Characters of a comment that are quoted in a finding: two lines say what it warns of."""
MAX_CALLS_TO_DUTY = 3
"""Most calls from one that is made later than before to what others wait for: nearly everything wakes or queues something
further down, whenever it is done."""
MAX_EVENTS_OF_GUARD = 8
"""Things that lose one condition together, of which a wait is told: with more of them the condition was a way out."""
MAX_ORDERED_EVENTS = 400
"""Events of a function whose order is compared: that takes the square of it."""
MAX_NESTED_HELPERS = 4
"""Helpers of helpers that are read in the place of their calls."""
MAX_TYPEDEF_CHAIN = 8
"""Typedefs of typedefs that are followed; the kernel has no longer chains, only circles in broken code."""
MAX_INCLUDE_DEPTH = 2
"""How far includes below include/ are followed."""
MAX_OWN_INCLUDE_DEPTH = 8
"""How far headers beside the code are followed: a driver of mt76 finds its lock's struct in the fifth."""
MAX_MASK_ALTERNATIVES = 6
"""Most alternatives that are kept apart."""
MAX_IDENTITY_LENGTH = 120
"""Longest identity: substitution along recursive calls must not grow text without bound."""
MAX_INDEXED_FILE_BYTES = 2_000_000
"""Longer files are tables that somebody's program wrote."""
MAX_INDEXED_HEAD_BYTES = 700
"""Most bytes of a function before its brace."""
MAX_CALLS_TO_CALLBACK = 7
"""Most calls from who hands a function down to the call that runs it."""
MAX_TOLD_CALLBACKS = 8
"""Through a pointer that can be more functions than this, what was registered is not told apart."""
MAX_CONTEXT_CHAIN = 14
"""Most functions of a chain: in a longer one there are conditions that do not go together."""
MAX_PATHS_OF_BLOCK = 40
"""Most paths that one block is visited with before values are forgotten; twice that and the function is cut."""
MAX_CALLS_OF_RELEASE = 3
"""Calls of a branch that is there to give a lock back; one that makes more is the rest of the function."""
MAX_CALLS_OF_RECORDS = 60
"""A record is asked for while that many others are being made: only in a cycle of more functions, as callees come
first. It is guessed then, as where a cycle closes, and looked at a second time."""
MAX_CALLS_OF_CONSTANT = 3
"""Calls that a constant is handed on through to where it is tested: helpers of a family stand on one another two or three
deep."""
MAX_CALLERS_OF_CONSTANT = 12
"""Callers of a function that are asked which constants they hand down: among more than these some hand down another."""
MAX_ENTRY_LOCKSETS = 6
"""Most alternatives of one function; beyond, the ones with the longest chains are left out."""
MAX_ENTRY_CHAIN = 12
"""Longest chain of calls that is followed."""
MAX_EFFECTS_OF_FUNCTION = 400
"""Most effects that one function is followed for."""
MAX_ROUNDS_OF_CYCLE = 8
"""Most rounds through a cycle of calls."""
MAX_POINTER_TARGETS = 8
"""A call through a pointer that can reach more functions than this is not followed for effects."""
MAX_CALLS_TO_END_OF_IO = 4
"""Calls from a handler down to the end of a bio that belongs to what the handler is for."""
MAX_CALLERS_OF_MASK = 4
"""How many callers up a mask that is handed down is followed."""
MAX_LONGER_CONTEXT_CHAIN = 5
"""How many calls longer the way of a function's own context may be to be told rather than a lock that it holds."""
MAX_THREAD_TO_IO = 4
"""Most functions from a thread's own down to what it does for I/O: threads do many other things, further down."""
MAX_FOLDERS_UP_TO_MAKEFILE = 4
"""Folders above a file whose Makefile may name it: fs/xfs/Makefile lists libxfs/ and scrub/, amdgpu goes two down."""
MAX_TARGETS_OF_POINTER = 4
"""Functions that a call through a pointer may run and that are looked at: with more nothing is known of the call."""
MAX_CALLS_FROM_BIO = 4
"""Calls from where a bio comes in to a new allocation: the longer the way, the more conditions stand on it."""
MAX_CALLED_FILES = 6
"""Files of other folders that are read for the bodies of what changed functions call: those named in changed lines come
first, the rest are a few that lock or wait."""
MAX_NEIGHBOURS_OF_KIND = 4
"""Files that are added of each kind."""
MAX_USERS_OF_NAME = 6
"""A name that more files beyond the folder use belongs to everybody."""
MAX_FILES_LOOKED_THROUGH = 24
"""Files that call through a member of some name, of which it is asked whether they include the header of the table."""
MAX_CALLS_TO_WRAPPED = 3
"""Calls from a changed function to one that another takes a lock around: through inline functions of a header, as the kernel has
them."""
MAX_CALLS_WITHIN_FILE = 4
"""Calls within a file that are followed."""
MAX_FAMILIES_IN_MEMORY = 2
"""Scopes of which programs are kept in memory."""
MAX_MEGABYTES_WITH_PROGRAMS = 400
"""What a process may have in memory before it lets go of the programs of other scopes; it finds them on the disk."""
MAX_MEGABYTES_OF_WORKER = 500
"""What one of several processes that go through many cases may have in memory before another one takes over: hardly anything
of what is freed goes back to the system, and over 150 cases one process grew from 0.4 to 1.5 GB."""
MAX_PROGRAMS_OF_FAMILY = 3
"""Programs of one scope that are kept: the one on disk, and those led on from it last."""
MAX_FILES_LED_ON = 40
"""A program in which more files differ is made anew."""
MAX_FILES_NOT_STORED = 8
"""A program in which more files differ than on the disk is put there in its place."""

# --- What gets stuck (detect) ----------------------------------------------------------------------------------------

MAX_CALLS_KEPT_BELOW_EDGE = 20
"""Calls below a place that are kept: whoever looks at an edge leaves out those with more than half as many, and in a
ring of calls each function has a way down to each other one."""
MAX_CALLS_TO_LOCK = 4
"""Most calls from a place down to the lock that it takes: further away the conditions on the way hardly go
together."""
MAX_CALLS_TO_KERNEL_LOCK = 1
"""The same for a lock of a structure of the kernel's, of which code has many: further away it is another one's."""
MAX_CALLS_FROM_INTERRUPT = 3
"""Calls from an interrupt down to a function that tasks run as well: further down there are conditions that do not go
together."""
MAX_CALLS_TO_TASK = 3
"""How many callers up it is asked whether a task with interrupts on calls a function: further up there are conditions that do
not go together."""
MAX_TAKERS_OF_LOCK = 60
"""Functions that take one lock and are asked who comes in between whom; a lock that more of them take is a subsystem's."""
MAX_CALLS_FROM_LOCK_TO_WAIT = 8
"""Most functions from the one that takes a lock to the one that waits: on a longer way there are conditions that do
not go together."""
MAX_CALLS_TO_WAIT = 8
"""Calls down to a wait; what is asked on the way there decides more than what is held, further down."""
MAX_CALLS_TO_UNENDED = 2
"""Calls down to a wait that nobody is seen to end: what is that far below is somebody else's, who knows his ways."""
MAX_EDGES_OF_LOCK = 200
"""Waits under one lock that are looked at again where a provider takes that lock now."""
MAX_PATHS_OF_CALL = 16
"""Ways to call a function with arguments of other instances that are told apart along a chain of calls."""
MAX_PROVIDERS = 6
"""Most providers of one thing; who has more is served by too many to be stuck."""
MAX_WAYS_DOWN = 16
"""Ways from a call down to one wait that are tried, where no run goes down the first: a few branches at a few calls."""
MAX_OWNERS = 4
"""Structs around a member that are followed from one to the next, where container_of() leads outwards."""
MAX_CALLS_TO_PUT = 3
"""Calls from a function down to the one that gives back a reference for it: x_release(), x_put(), x_unref()."""
MAX_WAYS_IN = 3
"""Ways into a function by which one wait under a lock is tried: on each one other locks are held."""
MAX_ALTERNATIVES = 4
"""Providers of one thing that are tried one after the other where one is enough: the nearest ones to the lock."""
MAX_CALLS_ABOVE_WAKE = 6
"""How far above a write or wake-up a function still counts as one that does it."""
MAX_ANNOUNCER_STATES = 6_000
"""States of one program before it is given up; callers come and go, and each is one more program."""
MAX_CALLS_ABOVE_COUNT = 4
"""How far above a change of a counter a function still counts as one that makes it, and how far up its callers may make up
for it."""
MAX_CALLS_TO_COUNT = 2
"""Calls from a function down to where it changes a counter that it has to leave as it was: get and put stand on one
another so deep."""
MAX_COUNTED = 3
"""How much higher or lower a function may leave a counter: what goes further is a loop."""
MAX_COUNTER_STATES = 20_000
"""States of one program that changes a counter before it is given up; its results are told apart."""
MAX_ANNOUNCEMENTS = 6
"""Most things that one function changes and announces which are looked into."""

# --- Models from code (replay) ---------------------------------------------------------------------------------------

MAX_WAIT_CYCLES = 12
"""Circles of one change that are looked into; a change with more of them is not about one."""
MAX_DOUBTFUL_EDGES = 24
"""New waits under a lock of one change that are looked into although no one run is seen to get there, or the lock is far
below: the nearest ones. A call that is put under a lock can bring hundreds of them, and those far below are harmless."""
MAX_DOUBTFUL_CYCLES = 6
"""Circles of one change that are replayed although something about them is in doubt: the surest ones. No more than that is
read by whoever looks at a comment."""
MAX_CALL_PAIRS = 40_000
"""Pairs of calls of one place of a patch that are compared; where there are more, it was written anew."""
MAX_CALLS_TO_PROVIDERS_LOCK = 8
"""Most calls from a provider to the lock that are believed, where not every way can be read."""
MAX_REPLAYED_PLACES = 400
"""Places of a program that the simulator is given; a larger one is not searched to the end."""
MAX_LOCKS_HELD = 8
"""Locks that a task holds at a time; with more its way is left."""
MAX_CALLS_TO_TEST = 2
"""Calls through which a value is handed on to where it is tested."""
MAX_SLICER_STATES = 12_000
"""States of all programs of one circle before they are read from further down their chains; of the corpus' confirmed cycles
that are read from their roots, both sides together take up to 8,300, most of them a few hundred."""
MAX_VALUE_SETS = 24
"""Most sets of values that a block is visited with before they are forgotten."""
MAX_INLINED_CALLS = 16
"""Functions of the longest chain of calls that is read, that of the task included."""

# --- The simulator (sim, models) -------------------------------------------------------------------------------------

MAX_CELL = 127
"""The largest content of a cell; the search uses the bit above it to see a cell leave its range."""
MAX_PASSING_STATES = 10_000
"""States that are looked at for the schedule by which everybody gets through on the side without the deadlock: it is shown
beside the other and proves nothing. Those of the corpus take a few hundred."""
MAX_NESTED_TAKES = 4
"""Nesting of takes that is told apart: a task that holds something this often and takes it once more still holds
it."""
MAX_PLACES_OF_CLASS = 20_000
"""Places of one class; more of them are a loop that carries something along without bound."""
MAX_PENDING_NODES = 2_000
"""Nodes that a task may still have to do; more of them are recursion without end."""
MAX_NESTED_SCOPES = 16
"""Scopes inside of each other; more of them are a loop that opens without closing."""
MAX_CACHED_ROWS = 20_000
"""Rows of places that are remembered for one way of a class."""
MAX_TABLE_ENTRIES = 20_000
"""Entries of one table, which then begins anew."""
MAX_PARAMETER = 64
"""The largest number that a parameter takes: more tasks or elements than that are never what decides."""

# --- Mail ------------------------------------------------------------------------------------------------------------

MAX_HEADER_WORDS = 4096
"""Characters of a header value that are decoded; `email.header` takes quadratic time on what is made for that."""
MAX_HEADER_ADDRESSES = 64 * 1024
"""Characters of an address list that are read."""
MAX_EPOCH_ANSWER_SECONDS = 30
"""Time for the server of an archive to answer."""
MAX_EPOCH_FETCH_SECONDS = 3600
"""Time that one fetch of an archive may take: its first one brings years of a list."""
MAX_EPOCH_PIECE_BYTES = 1 << 20
"""Bytes of a blob of an archive that are in memory at a time, where it is no mail that is read: a repository may hold
anything, and git hands out larger ones in pieces. No mail that is read is much larger."""
MAX_MIME_PARTS = 100
"""Parts of a message that are looked at."""
MAX_PATCH_NUMBER = 9999
"""Highest patch number and version that is taken for one; `git format-patch` has no bound."""
MAX_PREREQUISITES_OF_MAIL = 1000
"""Prerequisites that are taken from one mail."""
MAX_PREREQUISITES = 20
"""Prerequisites that are looked for; those of prerequisites count."""
MAX_PREREQUISITE_DEPTH = 3
"""How often a prerequisite may have prerequisites of its own."""
MAX_PREREQUISITE_PATCHES = 200
"""Patches that are applied before a series."""
MAX_PATCH_IDS = 1000
"""Patches whose patch-id is made."""
MAX_POSTINGS = 200
"""Series, and versions of them, that are looked for in one file or folder."""
MAX_MAILS = 10_000
"""Mails of a file or a folder that are read; no thread is as long."""

# --- Git -------------------------------------------------------------------------------------------------------------

MAX_REFS = 1000
"""Branches and tags, newest first, that are looked at."""
MAX_TIPS = 20
"""Of these, the ones whose history is searched, besides the branch asked for."""
MAX_COMMITS = 20_000
"""Commits of this history, newest first, that are searched."""
MAX_COMPARED_COMMITS = 2000
"""Of these, the ones that touch the files and are compared."""
MAX_HISTORY_SECONDS = 10
"""Time that one walk of the history may take; then it is given up."""
MAX_GIT_SECONDS = 60
"""Time that one git command may take; one that takes longer waits for something, a lock or a disk that is gone."""
MAX_PATCH_ID_COMMITS = 1000
"""Commits of a history, newest first, in which a prerequisite is looked for by its patch-id."""
MAX_PATCH_ID_SECONDS = 20
"""Time that the diffs of these may take: a prerequisite that is not found is told as missing, and no more."""
MAX_SUBJECTS_SECONDS = 300
"""Time for the subjects of a history: the whole one of Linux is read for them once."""
MAX_HUNKS_OF_DIFF = 1000
"""Files and hunks of a diff that are looked at."""

# --- What is shown (report) ------------------------------------------------------------------------------------------

MAX_SHOWN_EVENTS = 200
"""Events that a patch changes, as the page shows them: with more of them nobody would read the list."""
MAX_SHOWN_FUNCTION_LINES = 60
"""A function with more lines than a large screen is shown around the steps of its schedule only."""

# --- Drafts ----------------------------------------------------------------------------------------------------------

MAX_IMAP_SECONDS = 30
"""Time for a mail server to answer anything: a person waits for `--draft`."""

# --- On a real kernel (reproduce) ------------------------------------------------------------------------------------

MAX_SANDBOX_PROCESSES = 4096
"""Processes of the user in a sandbox: a build has a dozen, and User Mode Linux has one for each of the guest's."""
MAX_CONSOLE_LINES = 200_000
"""Lines of a console that are read: two scans of some hundred tasks are 20,000."""
MAX_STACK_FRAMES = 64
"""Functions of a stack that are kept; a frame takes 16 bytes and more of a stack of 64 kB, and the deepest of block I/O
under file systems have 50."""
MAX_SEATED_TASKS = 256
"""Blocked tasks of a scan that are kept: a driver starts some dozen."""
MAX_SPLATS = 20
"""Complaints of lockdep that are kept; after the first it is silent, and the others are few."""
MAX_SPLAT_LINES = 400
"""Lines of one complaint: a circle of six locks, each with its trace, has 300."""
MAX_MARKED_LINES = 400
"""Lines of a patch that say when they run; a patch with more is no single change, and its report would be no help."""
