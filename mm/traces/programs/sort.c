// A merge sort, bottom up, of two million numbers: from one array into another and back. No C library.
typedef unsigned u32;

extern unsigned char __heap_base;

static u32 *reserve(u32 bytes) {
  u32 old = __builtin_wasm_memory_grow(0, (bytes + 65535) >> 16);
  return (u32 *)(old << 16);
}

void _start(void) {
  const u32 count = 2000000;
  u32 *from = reserve(count * 4), *to = reserve(count * 4);
  u32 state = 2463534242u;
  for (u32 at = 0; at < count; at++) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    from[at] = state;
  }
  for (u32 width = 1; width < count; width *= 2) {
    for (u32 start = 0; start < count; start += 2 * width) {
      u32 left = start, middle = start + width < count ? start + width : count;
      u32 right = middle, end = start + 2 * width < count ? start + 2 * width : count;
      for (u32 at = start; at < end; at++)
        to[at] = left < middle && (right >= end || from[left] <= from[right]) ? from[left++] : from[right++];
    }
    u32 *swap = from;
    from = to;
    to = swap;
  }
  for (u32 at = 1; at < count; at++)
    if (from[at - 1] > from[at]) __builtin_trap();
}
