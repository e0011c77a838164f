/* The Mandelbrot set, computed by several threads into one shared memory.
 *
 *     seqfault run mandelbrot.wasm [THREADS [SIZE]]
 *
 * Threads take the next row from a counter, so that nobody waits while there is work. The picture is printed at a
 * coarser grain, with the number of points inside, which does not depend on how many threads there were.
 */
#include "threads.h"

enum { MOST_THREADS = 16, LARGEST = 4096, DEPTH = 200, COLUMNS = 64, ROWS = 24 };

static unsigned size;
static _Atomic unsigned next_row;
static _Atomic unsigned inside;
static unsigned char depths[(size_t)LARGEST * LARGEST];
static struct thread threads[MOST_THREADS];

static unsigned escape(double x, double y)
{
    double re = 0, im = 0;
    unsigned depth = 0;
    while (depth < DEPTH && re * re + im * im < 4) {
        double next = re * re - im * im + x;
        im = 2 * re * im + y;
        re = next;
        depth++;
    }
    return depth;
}

static void rows(void *unused)
{
    (void)unused;
    for (;;) {
        unsigned row = next_row++;
        if (row >= size)
            return;
        unsigned found = 0;
        for (unsigned column = 0; column < size; column++) {
            double x = -2.2 + 3.2 * column / size, y = -1.2 + 2.4 * row / size;
            unsigned depth = escape(x, y);
            depths[(size_t)row * size + column] = (unsigned char)depth;
            found += depth == DEPTH;
        }
        inside += found;
    }
}

static void draw(void)
{
    for (unsigned row = 0; row < ROWS; row++) {
        char line[COLUMNS + 1];
        for (unsigned column = 0; column < COLUMNS; column++) {
            size_t y = (size_t)row * size / ROWS, x = (size_t)column * size / COLUMNS;
            unsigned depth = depths[y * size + x];
            line[column] = depth == DEPTH ? '#' : depth > 12 ? '+' : depth > 6 ? '.' : ' ';
        }
        line[COLUMNS] = '\n';
        write_to(1, line, sizeof line);
    }
}

__attribute__((export_name("_start"))) void run(void)
{
    unsigned count = argument(1, 4);
    size = argument(2, 512);
    if (count < 1 || count > MOST_THREADS || size < COLUMNS || size > LARGEST)
        fail("usage: mandelbrot [THREADS (1 to 16) [SIZE (64 to 4096)]]");
    for (unsigned at = 0; at < count; at++)
        if (!start(&threads[at], rows, 0))
            fail("cannot start a thread");
    for (unsigned at = 0; at < count; at++)
        join(&threads[at]);
    draw();
    print_number(inside);
    print(" of ");
    print_number((uint64_t)size * size);
    print(" points are inside\n");
}
