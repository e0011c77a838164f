// What every kernel shares: fixed-width types, a source of numbers, and the export.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(name)))

// Keeps a function a function, so that a kernel calls as its source says.
#define NOINLINE __attribute__((noinline))

// xorshift32: numbers that no compiler can foresee.
static u32 seed = 2463534242u;

static inline u32 next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}
