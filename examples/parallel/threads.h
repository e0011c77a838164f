/* Threads for C programs without a C library, on wasi-threads.
 *
 *     clang -target wasm32-freestanding -mcpu=generic+atomics+bulk_memory -nostdlib \
 *         -Wl,--no-entry,--shared-memory,--import-memory,--export-memory,--max-memory=BYTES
 *
 * One program is one file, so everything is defined here. Sources: the wasi-threads proposal (thread-spawn and
 * wasi_thread_start), WASI preview 1 (fd_write, args), and the threads proposal (atomics, wait, notify).
 */
#ifndef THREADS_H
#define THREADS_H

#include <stddef.h>
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))

struct slice {
    const char *start;
    size_t length;
};

WASI("fd_write") int fd_write(int fd, const struct slice *slices, size_t count, size_t *written);
WASI("args_sizes_get") int args_sizes_get(size_t *count, size_t *bytes);
WASI("args_get") int args_get(char **args, char *bytes);
WASI("proc_exit") _Noreturn void proc_exit(int code);
__attribute__((import_module("wasi"), import_name("thread-spawn"))) int thread_spawn(void *start);

enum { STACK = 64 << 10, LONGEST_LINE = 200 };

/* One thread. The stack comes first: wasi_thread_start reads its top from there. */
struct thread {
    char *stack_top;
    void (*body)(void *);
    void *argument;
    _Atomic int done;
    _Alignas(16) char stack[STACK];
};

/* Runs on the new thread, with `start` as it was given to thread-spawn. C code cannot run yet: the stack pointer is a
 * global of the instance, and still that of the first thread. */
__asm__(".globaltype __stack_pointer, i32\n"
        ".functype thread_main (i32) -> ()\n"
        ".globl wasi_thread_start\n"
        ".export_name wasi_thread_start, wasi_thread_start\n"
        ".type wasi_thread_start, @function\n"
        "wasi_thread_start:\n"
        ".functype wasi_thread_start (i32, i32) -> ()\n"
        "local.get 1\n"
        "i32.load 0\n"
        "global.set __stack_pointer\n"
        "local.get 1\n"
        "call thread_main\n"
        "end_function\n");

__attribute__((used)) void thread_main(struct thread *thread)
{
    thread->body(thread->argument);
    thread->done = 1;
    __builtin_wasm_memory_atomic_notify((int *)&thread->done, ~0u);
}

/* Starts `body(argument)` on a thread of its own; 0 when the host has no thread to give. */
static int start(struct thread *thread, void (*body)(void *), void *argument)
{
    thread->stack_top = thread->stack + STACK;
    thread->body = body;
    thread->argument = argument;
    thread->done = 0;
    return thread_spawn(thread) > 0;
}

static void join(struct thread *thread)
{
    while (!thread->done)
        __builtin_wasm_memory_atomic_wait32((int *)&thread->done, 0, -1);
}

/* 0 is free, 1 is held, 2 is held and somebody waits. */
typedef _Atomic int mutex;

static inline void lock(mutex *mutex)
{
    int seen = 0;
    if (__c11_atomic_compare_exchange_strong(mutex, &seen, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    while (__c11_atomic_exchange(mutex, 2, __ATOMIC_SEQ_CST) != 0)
        __builtin_wasm_memory_atomic_wait32((int *)mutex, 2, -1);
}

static inline void unlock(mutex *mutex)
{
    if (__c11_atomic_exchange(mutex, 0, __ATOMIC_SEQ_CST) == 2)
        __builtin_wasm_memory_atomic_notify((int *)mutex, 1);
}

static size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

static void write_to(int fd, const char *text, size_t length)
{
    while (length) {
        struct slice slice = {text, length};
        size_t written = 0;
        if (fd_write(fd, &slice, 1, &written) != 0)
            proc_exit(1);
        text += written;
        length -= written;
    }
}

static void print(const char *text)
{
    write_to(1, text, length_of(text));
}

static void print_number(uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = '0' + number % 10;
    while (number /= 10);
    write_to(1, digits + at, sizeof digits - at);
}

static _Noreturn void fail(const char *why)
{
    write_to(2, why, length_of(why));
    write_to(2, "\n", 1);
    proc_exit(1);
}

/* The program's argument `index` as a number, or `otherwise` when there is none. */
static unsigned argument(size_t index, unsigned otherwise)
{
    static char *args[8];
    static char bytes[256];
    size_t count, length;
    if (args_sizes_get(&count, &length) != 0 || count > 8 || length > sizeof bytes)
        fail("too many arguments");
    args_get(args, bytes);
    if (index >= count)
        return otherwise;
    unsigned number = 0;
    for (const char *digit = args[index]; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            fail("an argument is not a number");
        number = number * 10 + (unsigned)(*digit - '0');
    }
    return number;
}

#endif
