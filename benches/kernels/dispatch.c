// Indirect calls: a stack machine whose every instruction is a call through a table of functions, and
// objects whose methods are chosen by their kind.
#include "kernel.h"

static i32 stack[64];
static u32 top;
static u32 position;

typedef void (*instruction)(u32 operand);

static void push(u32 operand) { stack[top++] = operand; }
static void add(u32 operand) { top--, stack[top - 1] += stack[top] + operand; }
static void multiply(u32 operand) { top--, stack[top - 1] *= stack[top] + operand; }
static void exclusive_or(u32 operand) { top--, stack[top - 1] ^= stack[top] - operand; }
static void duplicate(u32 operand) { stack[top] = stack[top - 1] + operand, top++; }
static void shift(u32 operand) { stack[top - 1] = (u32)stack[top - 1] >> operand; }
static void swap(u32 operand) {
    i32 value = stack[top - 1];
    stack[top - 1] = stack[top - 2] + operand;
    stack[top - 2] = value;
}
static void skip_if_odd(u32 operand) { position += stack[top - 1] & 1 ? operand : 0; }

static const instruction table[8] = {push, add, multiply, exclusive_or, duplicate, shift, swap, skip_if_odd};

struct line {
    u8 code;
    u8 operand;
};

static const struct line program[] = {
    {0, 17}, {0, 3}, {2, 5}, {4, 1}, {5, 3}, {3, 9}, {7, 2}, {0, 11}, {1, 0}, {4, 2}, {6, 4}, {1, 7}, {4, 0}, {5, 1}, {2, 1},
};

struct shape;
typedef u32 (*method)(const struct shape *);

struct shape {
    method measure;
    u32 a, b;
};

static u32 square(const struct shape *s) { return s->a * s->a; }
static u32 rectangle(const struct shape *s) { return s->a * s->b; }
static u32 triangle(const struct shape *s) { return s->a * s->b / 2; }
static u32 line_of(const struct shape *s) { return s->a + s->b; }

static const method methods[4] = {square, rectangle, triangle, line_of};
static struct shape shapes[64];

EXPORT("run") u32 run(u32 iterations) {
    seed = 2463534242u;
    for (u32 i = 0; i < 64; i++)
        shapes[i] = (struct shape){methods[next() & 3], next() & 0xfff, next() & 0xfff};
    u32 result = 1;
    for (u32 i = 0; i < iterations; i++) {
        top = 0;
        push(result);
        for (position = 0; position < sizeof program / sizeof *program; position++)
            table[program[position].code](program[position].operand);
        result = stack[top - 1];
        for (u32 j = 0; j < 64; j++) result = result * 31 + shapes[j].measure(&shapes[j]);
    }
    return result;
}
