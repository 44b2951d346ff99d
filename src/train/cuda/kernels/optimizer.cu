// What ends a step: its loss, clipping by the norm of all gradients, and the step of all weights.
#include "optimizer.cuh"

// All numbers of a step that stand for the whole of it, in one launch:
//
//   norm = root of the sum of squares of grad [n], n a multiple of 4;   clip = limit / norm, at most 1; a limit of 0 leaves all
//   loss_sum += weight x sum of losses [rows]
//   rate_share, correction1, second_correction of the step, which is over for everything that reads tokens
//
// Each block sums one piece of the gradient into partials [gridDim.x]; the one that ends last adds the pieces in their order
// and writes the state. Blocks of at most 1024 threads, a power of two.
extern "C" __global__ void settle(const float* grad, long long n, float* partials, const float* losses, int rows, float weight,
                                  float limit, const float* shares, double beta1, double beta2, StepState* state,
                                  long long apart) {
    to_own_run(apart, grad, partials, losses, shares, state);
    if (state->waits) return;
    SHARED(unsigned, arrived, 1);
    long long piece = (n / 4 + gridDim.x - 1) / gridDim.x * 4, begin = blockIdx.x * piece;
    float sum = 0.0f;
#pragma unroll 4
    for (long long i = begin + threadIdx.x * 4; i < begin + piece && i < n; i += blockDim.x * 4) {
        auto g = Pack<float, 4>::at(grad + i);
        sum += g[0] * g[0] + g[1] * g[1] + (g[2] * g[2] + g[3] * g[3]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
        // Seen by all blocks before it is counted.
        __threadfence();
        arrived[0] = atomicAdd(&state->arrived, 1);
    }
    __syncthreads();
    if (arrived[0] != gridDim.x - 1) return;
    __threadfence();
    double squares = 0.0, loss = 0.0;
    const volatile float* pieces = partials;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += blockDim.x) squares += pieces[i];
    for (int i = threadIdx.x; i < rows; i += blockDim.x) loss += losses[i];
    squares = block_sum_f64(squares);
    loss = block_sum_f64(loss);
    if (threadIdx.x != 0) return;
    unsigned current = state->next;
    float norm = (float)sqrt(squares), factor = limit / (norm + 1.17549435e-38f);
    state->norm = norm;
    // A norm that is no number makes the factor none: the run diverges and is seen to.
    state->clip = limit <= 0.0f || factor > 1.0f ? 1.0f : factor;
    state->loss_sum += (float)(loss * weight);
    state->rate_share = shares[current];
    state->correction1 = (float)(1.0 - pow(beta1, (double)(current + 1)));
    state->second_correction = (float)(1.0 / (1.0 - pow(beta2, (double)(current + 1))));
    state->current = current;
    state->next = current + 1;
    state->arrived = 0;
}
LISTED(settle)

// One step of all weights by AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), with t from 1, corrections as above and g = clip x gradient:
//
//   first  = beta1 first + (1 - beta1) g;   second = beta2 second + (1 - beta2) g g
//   value  = (1 - share decay) value - share rate first / correction1 / (sqrt(second second_correction) + epsilon)
//
// owners [n / OWNED] names the row of each piece; with SOME it is -1 where another optimizer steps the weight. `rounded`, where
// it is not null, gets the values in bf16. Grid so that each thread has UPDATES numbers.
template <bool SOME>
__device__ void adamw(float* values, bf16* rounded, float* firsts, float* seconds, const float* grads,
                      const UpdateRow* rows, const int* owners, long long n, float beta1, float beta2,
                      const StepState* state) {
    typedef Pack<float, UPDATES> Numbers;
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * UPDATES;
    if (i >= n || state->waits || (SOME && owners[i / OWNED] < 0)) return;
    UpdateRow row = rows[owners[i / OWNED]];
    float rate = state->rate_share * row.rate / state->correction1, clip = state->clip;
    float keep = 1.0f - state->rate_share * row.decay, correction = state->second_correction;
    auto before = Numbers::at(values + i), before1 = Numbers::at(firsts + i), before2 = Numbers::at(seconds + i);
    auto grad = Numbers::at(grads + i);
    float value[UPDATES], first[UPDATES], second[UPDATES];
#pragma unroll
    for (int u = 0; u < UPDATES; u++) {
        float g = grad[u] * clip;
        first[u] = beta1 * before1[u] + (1.0f - beta1) * g;
        second[u] = beta2 * before2[u] + (1.0f - beta2) * g * g;
        float root = sqrtf(second[u] * correction) + row.epsilon;
        value[u] = keep * before[u] - rate * first[u] / root;
    }
    Numbers::of(first).put(firsts + i);
    Numbers::of(second).put(seconds + i);
    Numbers::of(value).put(values + i);
    if (rounded) Pack<bf16, UPDATES>::of(value).put(rounded + i);
}
#define ADAMW(f32, bf16s, SOME)                                                                                        \
    extern "C" __global__ void f32(float* values, float*, float* firsts, float* seconds, const float* grads,           \
                                   const UpdateRow* rows, const int* owners, long long n, float beta1, float beta2,    \
                                   const StepState* state, long long apart) {                                          \
        to_own_run(apart, values, firsts, seconds, grads, rows, owners, state);                                        \
        adamw<SOME>(values, nullptr, firsts, seconds, grads, rows, owners, n, beta1, beta2, state);                    \
    }                                                                                                                  \
    LISTED(f32)                                                                                                        \
    extern "C" __global__ void bf16s(float* values, bf16* rounded, float* firsts, float* seconds, const float* grads,  \
                                     const UpdateRow* rows, const int* owners, long long n, float beta1, float beta2,  \
                                     const StepState* state, long long apart) {                                        \
        to_own_run(apart, values, rounded, firsts, seconds, grads, rows, owners, state);                               \
        adamw<SOME>(values, rounded, firsts, seconds, grads, rows, owners, n, beta1, beta2, state);                    \
    }                                                                                                                  \
    LISTED(bf16s)
ADAMW(adamw_f32, adamw_bf16, false)
ADAMW(adamw_some_f32, adamw_some_bf16, true)

// One step of all weights by what has one momentum, as above, with `step` of the optimizer: from momentum and clipped gradient
// the next momentum, and the direction by which the value goes back:
//
//   value = (1 - share decay) value - share rate direction
template <class Optimizer>
__device__ inline void by_momentum(float* values, bf16* rounded, float* momenta, const float* grads, const UpdateRow* rows,
                                   const int* owners, long long n, Optimizer optimizer, const StepState* state) {
    typedef Pack<float, UPDATES> Numbers;
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * UPDATES;
    if (i >= n || state->waits) return;
    UpdateRow row = rows[owners[i / OWNED]];
    float rate = state->rate_share * row.rate, keep = 1.0f - state->rate_share * row.decay, clip = state->clip;
    auto before = Numbers::at(values + i), momentum = Numbers::at(momenta + i), grad = Numbers::at(grads + i);
    float value[UPDATES], next[UPDATES];
#pragma unroll
    for (int u = 0; u < UPDATES; u++)
        value[u] = keep * before[u] - rate * optimizer.step(momentum[u], grad[u] * clip, next[u]);
    Numbers::of(next).put(momenta + i);
    Numbers::of(value).put(values + i);
    if (rounded) Pack<bf16, UPDATES>::of(value).put(rounded + i);
}

// SGD (Sutskever et al. 2013): momentum = decay momentum + g, and the direction is the momentum.
struct Sgd {
    float decay;

    __device__ float step(float momentum, float g, float& next) const { return next = decay * momentum + g; }
};
// Lion (Chen et al. 2023, arXiv 2302.06675): the direction is the sign of beta1 momentum + (1 - beta1) g, 0 of 0;
// momentum = beta2 momentum + (1 - beta2) g. What is no number stays none.
struct Lion {
    float beta1, beta2;

    __device__ float step(float momentum, float g, float& next) const {
        float mean = beta1 * momentum + (1.0f - beta1) * g;
        next = beta2 * momentum + (1.0f - beta2) * g;
        return mean > 0.0f ? 1.0f : mean < 0.0f ? -1.0f : mean;
    }
};
#define BY_MOMENTUM(f32, bf16s, Optimizer, NUMBERS, ...)                                                               \
    extern "C" __global__ void f32(float* values, float*, float* momenta, const float* grads, const UpdateRow* rows,   \
                                   const int* owners, long long n, NUMBERS, const StepState* state, long long apart) { \
        to_own_run(apart, values, momenta, grads, rows, owners, state);                                                \
        by_momentum(values, nullptr, momenta, grads, rows, owners, n, Optimizer{__VA_ARGS__}, state);                  \
    }                                                                                                                  \
    LISTED(f32)                                                                                                        \
    extern "C" __global__ void bf16s(float* values, bf16* rounded, float* momenta, const float* grads,                 \
                                     const UpdateRow* rows, const int* owners, long long n, NUMBERS,                   \
                                     const StepState* state, long long apart) {                                        \
        to_own_run(apart, values, rounded, momenta, grads, rows, owners, state);                                       \
        by_momentum(values, rounded, momenta, grads, rows, owners, n, Optimizer{__VA_ARGS__}, state);                  \
    }                                                                                                                  \
    LISTED(bf16s)
#define ONE_DECAY float decay
#define TWO_DECAYS float beta1, float beta2
BY_MOMENTUM(sgd_f32, sgd_bf16, Sgd, ONE_DECAY, decay)
BY_MOMENTUM(lion_f32, lion_bf16, Lion, TWO_DECAYS, beta1, beta2)
