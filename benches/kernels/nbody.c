// Floating point: bodies that attract each other, stepped with a symplectic integrator.
#include "kernel.h"

#define BODIES 5

struct body {
    double x[3], v[3], mass;
};

static struct body bodies[BODIES];

static void start(void) {
    seed = 2463534242u;
    for (int i = 0; i < BODIES; i++) {
        for (int k = 0; k < 3; k++) {
            bodies[i].x[k] = (double)(next() & 0xffff) / 4096.0 - 8.0;
            bodies[i].v[k] = (double)(next() & 0xffff) / 65536.0 - 0.5;
        }
        bodies[i].mass = (double)((next() & 0xff) + 1) / 64.0;
    }
}

static NOINLINE void step(double dt) {
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0.01;
            for (int k = 0; k < 3; k++) {
                d[k] = bodies[i].x[k] - bodies[j].x[k];
                square += d[k] * d[k];
            }
            double pull = dt / (square * __builtin_sqrt(square));
            for (int k = 0; k < 3; k++) {
                bodies[i].v[k] -= d[k] * bodies[j].mass * pull;
                bodies[j].v[k] += d[k] * bodies[i].mass * pull;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++) bodies[i].x[k] += dt * bodies[i].v[k];
}

EXPORT("run") u32 run(u32 iterations) {
    start();
    for (u32 i = 0; i < iterations; i++) step(0.001);
    // Every bit of every coordinate counts.
    u32 result = 0;
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++) {
            union { double f; u64 bits; } value = {bodies[i].x[k]};
            result = result * 31 + (u32)value.bits + (u32)(value.bits >> 32);
        }
    return result;
}
