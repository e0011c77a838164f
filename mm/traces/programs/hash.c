// A hash table with open addressing that doubles when it is half full, beside a heap that its keys are in; as most
// languages' dictionaries do it. No C library.
typedef unsigned u32;
typedef unsigned long long u64;
typedef struct { u32 key; u32 value; u64 hash; } Entry;

extern unsigned char __heap_base;
static u32 top;

// Never gives back, as a program that runs briefly; grows by what it needs, at least a page.
static void *allocate(u32 bytes) {
  if (!top) top = (u32)&__heap_base;
  u32 at = (top + 15) & ~15u;
  top = at + bytes;
  u32 have = __builtin_wasm_memory_size(0) << 16;
  if (top > have) __builtin_wasm_memory_grow(0, (top - have + 65535) >> 16);
  return (void *)at;
}

static Entry *table;
static u32 size, used;

static Entry *find(u64 hash) {
  for (u32 at = hash & (size - 1);; at = (at + 1) & (size - 1))
    if (!table[at].key || table[at].hash == hash) return &table[at];
}

static void enlarge(void) {
  Entry *old = table;
  u32 count = size;
  size = size ? size * 2 : 64;
  table = allocate(size * sizeof(Entry));
  for (u32 at = 0; at < count; at++)
    if (old[at].key) *find(old[at].hash) = old[at];
}

void _start(void) {
  u64 state = 88172645463325252ull;
  for (u32 n = 0; n < 200000; n++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (used * 2 >= size) enlarge();
    Entry *entry = find(state >> 3);
    if (!entry->key) {
      char *key = allocate(24);
      for (u32 at = 0; at < 24; at++) key[at] = (char)(state >> (at & 31));
      entry->key = (u32)key;
      entry->hash = state >> 3;
      used++;
    }
    entry->value++;
  }
}
