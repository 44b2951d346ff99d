// Muon (Jordan et al. 2024): the momentum of matrices, made orthogonal by Newton and Schulz. The products between these kernels
// are product.cu's, or the maker's library's:
//
//   x = momentum ahead / its norm;   five times:  s = x x^T,  f = a I + b s + c s s,  x = f x       (of tall ones s = x^T x, x = x f)
//
// `owners` [n / OWNED] names the weight of each piece of the flat buffers, -1 where it is none of Muon's.
#include "optimizer.cuh"

// With g = (1 - decay) clip x gradient: momentum = decay momentum + g; x = decay momentum + g, the momentum as it will be after
// the same gradient once more (Nesterov). `squares` [n / OWNED] gets the sum of squares of each piece of x. A thread has UPDATES
// numbers, sixteen threads a piece.
extern "C" __global__ void muon_ahead(float* momenta, const float* grads, float* x, const int* owners, float* squares,
                                      long long n, float decay, const StepState* state, long long apart) {
    to_own_run(apart, momenta, grads, x, owners, squares, state);
    if (state->waits) return;
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * UPDATES;
    bool mine = i < n && owners[i / OWNED] >= 0;
    float sum = 0.0f;
    if (mine) {
        auto momentum = Pack<float, UPDATES>::at(momenta + i), grad = Pack<float, UPDATES>::at(grads + i);
        float next[UPDATES], ahead[UPDATES];
#pragma unroll
        for (int u = 0; u < UPDATES; u++) {
            float g = (1.0f - decay) * (grad[u] * state->clip);
            next[u] = decay * momentum[u] + g;
            ahead[u] = decay * next[u] + g;
            sum += ahead[u] * ahead[u];
        }
        Pack<float, UPDATES>::of(next).put(momenta + i);
        Pack<float, UPDATES>::of(ahead).put(x + i);
    }
    for (int o = OWNED / UPDATES / 2; o > 0; o /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, o);
    if (mine && i % OWNED == 0) squares[i / OWNED] = sum;
}
LISTED(muon_ahead)

// inverses [weight] = 1 / norm of x, for each of the weights `matrices` [gridDim.x]. A block a matrix, of at most 1024 threads, a
// power of two. Zeros stay zeros.
extern "C" __global__ void muon_norms(const float* squares, const UpdateRow* rows, const int* matrices, float* inverses,
                                      long long apart) {
    to_own_run(apart, squares, rows, matrices, inverses);
    int weight = matrices[blockIdx.x];
    long long end = (rows[weight].end + OWNED - 1) / OWNED;
    double sum = 0.0;
    for (long long piece = rows[weight].begin / OWNED + threadIdx.x; piece < end; piece += blockDim.x) sum += squares[piece];
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) inverses[weight] = 1.0f / ((float)sqrt(sum) + 1.17549435e-38f);
}
LISTED(muon_norms)

// x times the inverse of its weight.
extern "C" __global__ void muon_normalize(float* x, const int* owners, const float* inverses, long long n,
                                          long long apart) {
    to_own_run(apart, x, owners, inverses);
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * UPDATES;
    if (i >= n || owners[i / OWNED] < 0) return;
    float inverse = inverses[owners[i / OWNED]], normed[UPDATES];
    auto numbers = Pack<float, UPDATES>::at(x + i);
#pragma unroll
    for (int u = 0; u < UPDATES; u++) normed[u] = numbers[u] * inverse;
    Pack<float, UPDATES>::of(normed).put(x + i);
}
LISTED(muon_normalize)

// A square matrix of one weight: its place in a flat buffer of squares, and its side.
struct Square {
    long long begin;
    int side, unused;
};

// f = b s + a I, for each of the squares [gridDim.y]; the product adds c s s. A thread a number.
extern "C" __global__ void muon_factor(const float* s, float* f, const Square* squares, float a, float b,
                                       long long apart) {
    to_own_run(apart, s, f, squares);
    Square square = squares[blockIdx.y];
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (long long)square.side * square.side) return;
    f[square.begin + i] = b * s[square.begin + i] + (i / square.side == i % square.side ? a : 0.0f);
}
LISTED(muon_factor)

// value = (1 - share decay) value - share rate x; `rounded`, where it is not null, gets the values in bf16.
extern "C" __global__ void muon_step(float* values, bf16* rounded, const float* x, const UpdateRow* rows, const int* owners,
                                     long long n, const StepState* state, long long apart) {
    to_own_run(apart, values, rounded, x, rows, owners, state);
    if (state->waits) return;
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * UPDATES;
    if (i >= n || owners[i / OWNED] < 0) return;
    UpdateRow row = rows[owners[i / OWNED]];
    float rate = state->rate_share * row.rate, keep = 1.0f - state->rate_share * row.decay, value[UPDATES];
    auto before = Pack<float, UPDATES>::at(values + i), by = Pack<float, UPDATES>::at(x + i);
#pragma unroll
    for (int u = 0; u < UPDATES; u++) value[u] = keep * before[u] - rate * by[u];
    Pack<float, UPDATES>::of(value).put(values + i);
    if (rounded) Pack<bf16, UPDATES>::of(value).put(rounded + i);
}
LISTED(muon_step)
