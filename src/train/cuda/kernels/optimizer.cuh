// What the optimizer knows of one weight, and how the flat buffers of all weights are divided.
#pragma once
#include "common.cuh"

// A weight's own numbers: its place in the flat buffers, peak rate, decay of a step at the peak, and epsilon, each with its
// factor of the parameterization.
struct UpdateRow {
    long long begin, end;
    float rate, decay, epsilon;
    unsigned unused;
};

// Numbers of one owner: each weight begins at a multiple of it.
#define OWNED 64
// Numbers of one thread, neighbours.
#define UPDATES 4
