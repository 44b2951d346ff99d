// What is added to a mean of squares before its root.
#pragma once
#include "common.cuh"

#define NORM_EPSILON 1e-6f
