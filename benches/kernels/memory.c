// Memory: an open-addressed hash table, a sieve, a histogram sort, and copies, over about 3 MiB.
#include "kernel.h"

#define SLOTS (1 << 16)
#define SIEVE (1 << 19)
#define KEYS (1 << 15)

static u32 keys[SLOTS], values[SLOTS];
static u8 composite[SIEVE];
static u32 unsorted[KEYS], sorted[KEYS];

static u32 hash(u32 key) { return (key * 2654435761u) >> 16; }

static NOINLINE void insert(u32 key, u32 value) {
    u32 at = hash(key);
    while (keys[at] && keys[at] != key) at = (at + 1) & (SLOTS - 1);
    keys[at] = key;
    values[at] += value;
}

static NOINLINE u32 lookup(u32 key) {
    u32 at = hash(key);
    while (keys[at] && keys[at] != key) at = (at + 1) & (SLOTS - 1);
    return keys[at] ? values[at] : 0;
}

static NOINLINE u32 sieve(void) {
    for (u32 i = 0; i < SIEVE; i++) composite[i] = 0;
    u32 primes = 0;
    for (u32 i = 2; i < SIEVE; i++) {
        if (composite[i]) continue;
        primes++;
        for (u32 j = i * 2; j < SIEVE; j += i) composite[j] = 1;
    }
    return primes;
}

static NOINLINE void radix_sort(void) {
    for (u32 shift = 0; shift < 32; shift += 8) {
        u32 count[257] = {0};
        for (u32 i = 0; i < KEYS; i++) count[((unsorted[i] >> shift) & 0xff) + 1]++;
        for (u32 i = 0; i < 256; i++) count[i + 1] += count[i];
        for (u32 i = 0; i < KEYS; i++) sorted[count[(unsorted[i] >> shift) & 0xff]++] = unsorted[i];
        for (u32 i = 0; i < KEYS; i++) unsorted[i] = sorted[i];
    }
}

EXPORT("run") u32 run(u32 iterations) {
    seed = 2463534242u;
    for (u32 i = 0; i < SLOTS; i++) keys[i] = values[i] = 0;
    u32 result = 0;
    for (u32 i = 0; i < iterations; i++) {
        for (u32 j = 0; j < 20000; j++) insert((next() & 0x7fff) | 1, j);
        for (u32 j = 0; j < 20000; j++) result = result * 5 + lookup(next() & 0x7fff);
        result += sieve();
        for (u32 j = 0; j < KEYS; j++) unsorted[j] = next();
        radix_sort();
        for (u32 j = 0; j < KEYS; j += 97) result = result * 31 + sorted[j];
    }
    return result;
}
