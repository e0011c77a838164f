// Direct calls: functions that do little else than call each other.
#include "kernel.h"

static NOINLINE u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static NOINLINE u32 ackermann(u32 m, u32 n) {
    if (m == 0) return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static NOINLINE u32 is_odd(u32 n, u32 salt);
static NOINLINE u32 is_even(u32 n, u32 salt) { return n == 0 ? salt : is_odd(n - 1, salt * 3) + 1; }
static NOINLINE u32 is_odd(u32 n, u32 salt) { return n == 0 ? ~salt : is_even(n - 1, salt ^ n) + 2; }

EXPORT("run") u32 run(u32 iterations) {
    u32 result = 0;
    for (u32 i = 0; i < iterations; i++)
        result = result * 7 + fibonacci(18 + (i & 1)) + ackermann(2, 20) + is_even(100, i);
    return result;
}
