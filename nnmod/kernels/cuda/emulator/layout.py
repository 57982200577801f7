"""The memory that compiled kernels and the runtime share: fields of 64 bits, by number.

One *context* for a launch, one *thread* record for each thread of the running block, one
*allocation* record for each array that the launch was given.
"""

# -- context ----------------------------------------------------------------------------
(FAULT, SITE, ADDRESS, THREAD, OTHER,
 GRID_X, GRID_Y, GRID_Z, BLOCK_X, BLOCK_Y, BLOCK_Z, AT_X, AT_Y, AT_Z,
 SHARED, SHARED_SIZE, SHARED_SHADOW, SHARED_GRAIN, DYNAMIC_SIZE,
 PARAMS, ALLOCATIONS, ALLOCATION_COUNT, LOCAL_SIZE,
 CLOCK, LAUNCH_START, BLOCK_START, LAST_BARRIER, WARP_SYNCS,
 JUMP_LIMIT, COUNTED, ALL, ANY,
 CONTEXT_SIZE) = range(33)

# -- thread -----------------------------------------------------------------------------
(PC, STATUS, X, Y, Z, NUMBER, LOCAL, OPERATION, MASK, VALUE, LANE, CLAMP, RESULT, PREDICATE, AT_SITE,
 FRAGMENT) = range(16)
#: A lane's numbers of a product of matrices, each a float64: 4 of the left, 2 of the right, 4 of the sums.
LEFT, RIGHT, SUMS = FRAGMENT, FRAGMENT + 4, FRAGMENT + 6
FRAME = FRAGMENT + 10

# A thread is running, has ended, waits for its block or its warp, or was caught.
RUNNING, DONE, BARRIER, WARP, CAUGHT = 0, 1, 2, 3, -1

# What a warp does together.
(SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, SHUFFLE_INDEX, BALLOT, VOTE_ANY, VOTE_ALL, VOTE_UNIFORM, WARP_BARRIER,
 MATCH_ANY, MATCH_ALL, REDUCE_ADD, REDUCE_MIN, REDUCE_MAX, REDUCE_UMIN, REDUCE_UMAX, REDUCE_AND, REDUCE_OR,
 REDUCE_XOR, MULTIPLY) = range(1, 21)

# -- allocation: first byte, byte after the last, shadow (0: no look for races), bytes of an element, flags --
(FIRST, END, SHADOW, GRAIN, READ_ONLY, ALLOCATION_SIZE) = range(6)

# -- how memory is accessed ----------------------------------------------------------------
READ, WRITE, ATOMIC = 0, 1, 2

# -- faults, as in errors.KINDS ---------------------------------------------------------------
(GLOBAL_BOUNDS, SHARED_BOUNDS, LOCAL_BOUNDS, GLOBAL_ALIGN, SHARED_ALIGN, LOCAL_ALIGN, NOT_WRITABLE, UNINITIALISED,
 SHARED_RACE, BLOCK_RACE, GRID_RACE, EARLY_END, DIVERGENT_BARRIER, OWN_LANE, LANE_MISSING, WARP_MIXED,
 SHUFFLE_OUTSIDE, DIVISION, ENDLESS, TRAP) = range(1, 21)

# -- shadow: two records for each element, of the last write and the last read: time << 12 | who ------
# who: a thread's number (0..1023), 1024 + a warp's number where several of its threads read,
# ATOMICALLY, or SEVERAL threads.  OTHERS marks a read by other blocks before.
WHO_BITS = 12
ATOMICALLY, SEVERAL = 2046, 2047
OTHERS = 1 << 62
