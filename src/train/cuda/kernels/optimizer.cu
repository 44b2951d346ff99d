// The step's own numbers, clipping by the norm of all gradients, and AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
#include "common.cuh"

// Begins a step: its number, its share of the peak rate, and Adam's corrections. One thread.
extern "C" __global__ void advance(StepState* state, const float* shares, double beta1, double beta2) {
    unsigned current = state->next;
    state->current = current;
    state->next = current + 1;
    state->rate_share = shares[current];
    state->correction1 = (float)(1.0 - pow(beta1, (double)(current + 1)));
    state->second_correction = (float)(1.0 / (1.0 - pow(beta2, (double)(current + 1))));
}
LISTED(advance)

// partials [gridDim.x] = sums of squares of as many pieces of grad [n], of one length. Blocks of whole warps.
extern "C" __global__ void square_sums(const float* grad, long long n, float* partials) {
    long long piece = (n + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * piece;
    float sum = 0.0f;
#pragma unroll 8
    for (long long i = begin + threadIdx.x; i < begin + piece && i < n; i += blockDim.x) sum += grad[i] * grad[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
LISTED(square_sums)

// The norm of all gradients, and the factor that brings it down to `limit`, at most 1; a limit of 0 leaves them alone. One
// block of at most 1024 threads, a power of two.
extern "C" __global__ void clip(const float* partials, int pieces, float limit, StepState* state) {
    double sum = 0.0;
    for (int i = threadIdx.x; i < pieces; i += blockDim.x) sum += partials[i];
    sum = block_sum_f64(sum);
    if (threadIdx.x != 0) return;
    float norm = (float)sqrt(sum), factor = limit / (norm + 1.17549435e-38f);
    state->norm = norm;
    // A norm that is no number makes the factor none: the run diverges and is seen to.
    state->clip = limit <= 0.0f || factor > 1.0f ? 1.0f : factor;
}
LISTED(clip)

// A weight's own numbers: its place in the flat buffers, peak rate, decay of a step at the peak, and epsilon, each with its
// factor of the parameterization.
struct UpdateRow {
    long long begin, end;
    float rate, decay, epsilon;
    unsigned unused;
};

// Numbers of one owner: each weight begins at a multiple of it.
#define OWNED 64
// Numbers of one thread.
#define UPDATES 4

// One step of all weights, with t from 1, corrections as above and g = clip x gradient:
//
//   first  = beta1 first + (1 - beta1) g;   second = beta2 second + (1 - beta2) g g
//   value  = (1 - share decay) value - share rate first / correction1 / (sqrt(second second_correction) + epsilon)
//
// owners [n / OWNED] names the row of each piece. `rounded`, where it is not null, gets the values in bf16. Grid so that each
// thread has UPDATES numbers.
__device__ void adamw(float* values, bf16* rounded, float* firsts, float* seconds, const float* grads,
                      const UpdateRow* rows, const int* owners, long long n, float beta1, float beta2,
                      const StepState* state) {
    for (int u = 0; u < UPDATES; u++) {
        long long i = ((long long)blockIdx.x * UPDATES + u) * blockDim.x + threadIdx.x;
        if (i >= n) return;
        UpdateRow row = rows[owners[i / OWNED]];
        float g = grads[i] * state->clip, rate = state->rate_share * row.rate / state->correction1;
        float first = beta1 * firsts[i] + (1.0f - beta1) * g;
        float second = beta2 * seconds[i] + (1.0f - beta2) * g * g;
        float root = sqrtf(second * state->second_correction) + row.epsilon;
        float value = (1.0f - state->rate_share * row.decay) * values[i] - rate * first / root;
        firsts[i] = first;
        seconds[i] = second;
        values[i] = value;
        if (rounded) rounded[i] = to<bf16>(value);
    }
}
extern "C" __global__ void adamw_f32(float* values, float*, float* firsts, float* seconds, const float* grads,
                                     const UpdateRow* rows, const int* owners, long long n, float beta1, float beta2,
                                     const StepState* state) {
    adamw(values, nullptr, firsts, seconds, grads, rows, owners, n, beta1, beta2, state);
}
LISTED(adamw_f32)
extern "C" __global__ void adamw_bf16(float* values, bf16* rounded, float* firsts, float* seconds, const float* grads,
                                      const UpdateRow* rows, const int* owners, long long n, float beta1, float beta2,
                                      const StepState* state) {
    adamw(values, rounded, firsts, seconds, grads, rows, owners, n, beta1, beta2, state);
}
LISTED(adamw_bf16)
