/* A hash map that several threads fill at once, in a shared memory that grows under them.
 *
 *     seqfault run hashmap.wasm [THREADS [KEYS]]
 *
 * Every thread inserts KEYS keys, half of which all the others insert, too, and adds one to the value of each. Buckets have
 * locks of their own (wait and notify); nodes come from arenas that `memory.grow` makes, one a thread at a time. At
 * the end, all keys and all values must be there.
 */
#include "threads.h"

enum { MOST_THREADS = 16, BUCKETS = 1 << 14, PAGE = 64 << 10, ARENA_PAGES = 4 };

struct node {
    uint64_t key;
    uint64_t value;
    struct node *next;
};

static struct {
    mutex mutex;
    struct node *first;
} buckets[BUCKETS];

static unsigned keys;
static struct thread threads[MOST_THREADS];

/* What a thread allocates from; nobody else does. */
struct arena {
    unsigned thread;
    struct node *at, *end;
};

static struct arena arenas[MOST_THREADS];

static struct node *allocate(struct arena *arena)
{
    if (arena->at == arena->end) {
        size_t pages = __builtin_wasm_memory_grow(0, ARENA_PAGES);
        if (pages == (size_t)-1)
            fail("out of memory");
        arena->at = (struct node *)(pages * PAGE);
        arena->end = arena->at + (size_t)ARENA_PAGES * PAGE / sizeof(struct node);
    }
    return arena->at++;
}

static uint64_t mix(uint64_t key)
{
    key = (key ^ key >> 31) * 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
}

static void add(struct arena *arena, uint64_t key)
{
    size_t bucket = mix(key) % BUCKETS;
    lock(&buckets[bucket].mutex);
    struct node *node = buckets[bucket].first;
    while (node && node->key != key)
        node = node->next;
    if (!node) {
        node = allocate(arena);
        node->key = key;
        node->next = buckets[bucket].first;
        buckets[bucket].first = node;
    }
    node->value++;
    unlock(&buckets[bucket].mutex);
}

static void fill(void *argument)
{
    struct arena *arena = argument;
    for (unsigned at = 0; at < keys; at++) {
        uint64_t owner = at % 2 ? 0 : arena->thread;
        add(arena, owner << 32 | at);
    }
}

__attribute__((export_name("_start"))) void run(void)
{
    unsigned count = argument(1, 4);
    keys = argument(2, 50000);
    if (count < 1 || count > MOST_THREADS || keys > 1000000)
        fail("usage: hashmap [THREADS (1 to 16) [KEYS (at most 1000000)]]");
    for (unsigned at = 0; at < count; at++) {
        arenas[at].thread = at + 1;
        if (!start(&threads[at], fill, &arenas[at]))
            fail("cannot start a thread");
    }
    for (unsigned at = 0; at < count; at++)
        join(&threads[at]);

    uint64_t different = 0, sum = 0;
    for (size_t at = 0; at < BUCKETS; at++)
        for (struct node *node = buckets[at].first; node; node = node->next) {
            different++;
            sum += node->value;
        }
    print_number(different);
    print(" keys, ");
    print_number(sum);
    print(" insertions\n");
    uint64_t own = (keys + 1) / 2, common = keys / 2;
    if (different != own * count + common || sum != (uint64_t)keys * count)
        fail("something is missing");
}
