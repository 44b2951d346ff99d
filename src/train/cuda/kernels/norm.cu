// The residual stream and its normalization: by the root mean square (Zhang and Sennrich 2019, arXiv 1910.07467), or by mean and
// deviation (Ba et al. 2016, arXiv 1607.06450), before a branch or behind one.
#include "norm.cuh"

// Threads of a block of the backward pass, at most; rows whose numbers a thread asks for before it needs the first.
#define NORM_THREADS 512
#define NORM_TOGETHER 4

// What kind of normalization it is. The usual one, by the root mean square before a branch, is known when compiling.
struct Usual {
    static constexpr bool bare = false, centred = false, after = false;
    static constexpr float* whole = nullptr;
};
// Another one: none at all; each row less its mean; behind a branch, so that what comes out is the next stream, `whole` [rows, d]
// in f32.
struct AnyKind {
    bool bare, centred, after;
    float* whole;
};

// stream = share x + multiplier branch; inverse = 1 / rms(stream); out = stream x inverse x gain, for one row of d channels, by
// one warp, N channels a lane at a time. `branch` may be null; `stream` may be `x`. A centred row is less its mean, which goes
// to `mean`, and `inverse` is 1 / deviation. A bare row comes out as it is.
template <class T, class B, int N, class Kind>
__device__ inline void norm_row(const float* x, float share, const B* branch, float multiplier, const float* gain,
                                float* stream, T* out, float* inverse, float* mean, int d, Kind kind) {
    int lane = threadIdx.x % 32;
    float squares = 0.0f, sum = 0.0f;
#pragma unroll 2
    for (int i = lane * N; i < d; i += 32 * N) {
        auto numbers = Pack<float, N>::at(x + i);
        float v[N];
#pragma unroll
        for (int c = 0; c < N; c++) v[c] = share * numbers[c];
        if (branch) {
            auto added = Pack<B, N>::at(branch + i);
#pragma unroll
            for (int c = 0; c < N; c++) v[c] += multiplier * added[c];
        }
        Pack<float, N>::of(v).put(stream + i);
#pragma unroll
        for (int c = 0; c < N; c++) squares += v[c] * v[c], sum += v[c];
    }
    // Each lane reads again what it has written itself.
    float middle = 0.0f;
    if (kind.centred) {
        middle = warp_sum(sum) / d, squares = 0.0f;
        for (int i = lane * N; i < d; i += 32 * N) {
            auto v = Pack<float, N>::at(stream + i);
#pragma unroll
            for (int c = 0; c < N; c++) squares += (v[c] - middle) * (v[c] - middle);
        }
        if (lane == 0) *mean = middle;
    }
    float r = 1.0f / sqrtf(warp_sum(squares) / d + NORM_EPSILON);
#pragma unroll 2
    for (int i = lane * N; i < d; i += 32 * N) {
        auto v = Pack<float, N>::at(stream + i);
        float normed[N];
        if (!kind.bare) {
            auto gains = Pack<float, N>::at(gain + i);
#pragma unroll
            for (int c = 0; c < N; c++) normed[c] = (kind.centred ? v[c] - middle : v[c]) * r * gains[c];
        } else {
#pragma unroll
            for (int c = 0; c < N; c++) normed[c] = v[c];
        }
        Pack<T, N>::of(normed).put(out + i);
        if (kind.whole) Pack<float, N>::of(normed).put(kind.whole + i);
    }
    if (lane == 0) *inverse = r;
}
// Rows begin at multiples of four channels, or single channels are taken.
template <class T, class B, class Kind>
__device__ inline void norm_any_row(const float* x, float share, const B* branch, float multiplier, const float* gain,
                                    float* stream, T* out, float* inverse, float* mean, int d, Kind kind) {
    if (d % 4 == 0) norm_row<T, B, 4>(x, share, branch, multiplier, gain, stream, out, inverse, mean, d, kind);
    else norm_row<T, B, 1>(x, share, branch, multiplier, gain, stream, out, inverse, mean, d, kind);
}

// The row of this warp; blocks of whole warps.
__device__ inline int row_of_warp() { return blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; }

// Usual rows may be single; of others, `whole` is that of all rows.
__device__ inline Usual of_row(Usual kind, long long) { return kind; }
__device__ inline AnyKind of_row(AnyKind kind, long long at) {
    return {kind.bare, kind.centred, kind.after, kind.whole ? kind.whole + at : nullptr};
}

// The stream after a branch, and its normalization: [rows, d]. Means of centred rows lie behind all inverses.
template <class T, class Kind>
__device__ void add_norm(const float* x, const T* branch, float multiplier, const float* gain, float* stream, T* out,
                         float* inverse, int rows, int d, Kind kind) {
    int row = row_of_warp();
    if (row >= rows) return;
    long long at = (long long)row * d;
    norm_any_row<T, T>(x + at, 1.0f, branch ? branch + at : nullptr, multiplier, gain, stream + at, out + at, inverse + row,
                       inverse + rows + row, d, of_row(kind, at));
}

// The stream as it begins, multiplier table[id of the row] and, where there are positions, of_position positions[position of the
// row], and its normalization.
template <class T, class Kind>
__device__ void embed_norm(const Tokens& tokens, const float* table, float multiplier, const float* positions,
                           float of_position, const float* gain, float* stream, T* out, float* inverse, int rows, int d,
                           Kind kind) {
    int row = row_of_warp();
    if (row >= rows) return;
    long long at = (long long)row * d, id = tokens.input(row), position = row % tokens.context;
    norm_any_row<T, float>(table + id * d, multiplier, positions ? positions + position * d : nullptr, of_position, gain,
                           stream + at, out + at, inverse + row, inverse + rows + row, d, of_row(kind, at));
}
#define NORM(T, add, embed, add_any, embed_any)                                                                        \
    extern "C" __global__ void add(const float* x, const T* branch, float multiplier, const float* gain,               \
                                   float* stream, T* out, float* inverse, int rows, int d, long long apart) {          \
        to_own_run(apart, x, branch, gain, stream, out, inverse);                                                      \
        add_norm<T>(x, branch, multiplier, gain, stream, out, inverse, rows, d, Usual());                              \
    }                                                                                                                  \
    LISTED(add)                                                                                                        \
    extern "C" __global__ void embed(const u16* ring, long long stride, int slots, const StepState* state,             \
                                     int context, const float* table, float multiplier, const float* gain,             \
                                     float* stream, T* out, float* inverse, int rows, int d, long long apart) {        \
        to_own_run(apart, ring, state, table, gain, stream, out, inverse);                                             \
        embed_norm<T>(Tokens(ring, stride, slots, state, context), table, multiplier, nullptr, 0.0f, gain, stream,     \
                      out, inverse, rows, d, Usual());                                                                 \
    }                                                                                                                  \
    LISTED(embed)                                                                                                      \
    extern "C" __global__ void add_any(const float* x, const T* branch, float multiplier, const float* gain,           \
                                       float* stream, T* out, float* inverse, int rows, int d, int centred,            \
                                       float* whole, long long apart) {                                                \
        to_own_run(apart, x, branch, gain, stream, out, inverse, whole);                                               \
        AnyKind kind{gain == nullptr, centred != 0, whole != nullptr, whole};                                          \
        add_norm<T>(x, branch, multiplier, gain, stream, out, inverse, rows, d, kind);                                 \
    }                                                                                                                  \
    LISTED(add_any)                                                                                                    \
    extern "C" __global__ void embed_any(const u16* ring, long long stride, int slots, const StepState* state,         \
                                         int context, const float* table, float multiplier, const float* positions,    \
                                         float of_position, const float* gain, float* stream, T* out, float* inverse,  \
                                         int rows, int d, int centred, float* whole, long long apart) {                \
        to_own_run(apart, ring, state, table, positions, gain, stream, out, inverse, whole);                           \
        AnyKind kind{gain == nullptr, centred != 0, whole != nullptr, whole};                                          \
        embed_norm<T>(Tokens(ring, stride, slots, state, context), table, multiplier, positions, of_position, gain,    \
                      stream, out, inverse, rows, d, kind);                                                            \
    }                                                                                                                  \
    LISTED(embed_any)
NORM(float, add_norm_f32, embed_norm_f32, add_any_norm_f32, embed_any_norm_f32)
NORM(bf16, add_norm_bf16, embed_norm_bf16, add_any_norm_bf16, embed_any_norm_bf16)

// The gradient of the stream, and a piece of that of the gain. With h = x inverse, or (x - mean of x) inverse where rows are
// centred, and g the gradient of the output:
//
//   dx = before + (g gain - h mean(g gain h)) inverse, and of centred rows less mean(g gain) inverse
//   partials[piece] = sum of g h over the rows of the piece
//   branch = multiplier dx, what the branch that was added before gets
//
// One block for `piece` rows, at most NORM_ROWS: first each warp takes the means of its rows, then each thread goes down its
// N channels. Where the channels are few, threads divide the rows among them and their sums are added in order. `before` may
// be null (zero) or `dx` itself; `branch` may be null.
// Behind a branch `before` is a gradient of the output instead, and a part of g.
#define NORM_ROWS 64
// Four channels at a time where rows begin at multiples of four.
#define OF_CHANNELS(d, f, T, ...)                                                                                      \
    if (d % 4 == 0) f<T, 4>(__VA_ARGS__);                                                                              \
    else f<T, 1>(__VA_ARGS__);
template <class T, int N, class Kind>
__device__ void norm_backward(const T* grad, const float* x, const float* inverse, const float* gain, const float* before,
                              float* dx, T* branch, float multiplier, float* partials, int piece, int rows, int d, Kind kind) {
    SHARED(float, means, NORM_ROWS);
    // Means of centred rows, and of their gradients.
    SHARED(float, middles, 2 * NORM_ROWS);
    SHARED(float, inverses, NORM_ROWS);
    SHARED(float, sums, 4 * NORM_THREADS);
    long long begin = (long long)blockIdx.x * piece;
    int count = rows - begin < piece ? (int)(rows - begin) : piece;
    for (int row = threadIdx.x / 32; row < count; row += blockDim.x / 32) {
        float r = inverse[begin + row], products = 0.0f, sum = 0.0f;
        float middle = kind.centred ? inverse[rows + begin + row] : 0.0f;
#pragma unroll 2
        for (int i = threadIdx.x % 32 * N; i < d; i += 32 * N) {
            auto g = Pack<T, N>::at(grad + (begin + row) * d + i);
            auto v = Pack<float, N>::at(x + (begin + row) * d + i), gains = Pack<float, N>::at(gain + i);
#pragma unroll
            for (int c = 0; c < N; c++) {
                float slope = g[c];
                if (kind.after && before) slope += before[(begin + row) * d + i + c];
                products += slope * gains[c] * ((kind.centred ? v[c] - middle : v[c]) * r);
                if (kind.centred) sum += slope * gains[c];
            }
        }
        products = warp_sum(products);
        if (kind.centred) sum = warp_sum(sum);
        if (threadIdx.x % 32 == 0) {
            means[row] = products / d, inverses[row] = r;
            if (kind.centred) middles[2 * row] = middle, middles[2 * row + 1] = sum / d;
        }
    }
    __syncthreads();
    int columns = d / N, slices = columns < (int)blockDim.x ? blockDim.x / columns : 1;
    int slice = threadIdx.x / columns;
    if (columns >= (int)blockDim.x) slice = 0;
    for (int column = columns < (int)blockDim.x ? threadIdx.x % columns : threadIdx.x; column < columns && slice < slices;
         column += blockDim.x) {
        auto gains = Pack<float, N>::at(gain + column * N);
        float sum[N] = {};
#pragma unroll 1
        for (int row0 = slice; row0 < count; row0 += NORM_TOGETHER * slices) {
            Pack<T, N> g[NORM_TOGETHER];
            Pack<float, N> v[NORM_TOGETHER], had[NORM_TOGETHER];
#pragma unroll
            for (int u = 0; u < NORM_TOGETHER; u++) {
                if (row0 + u * slices >= count) break;
                long long at = (begin + row0 + u * slices) * d + column * N;
                g[u] = Pack<T, N>::at(grad + at), v[u] = Pack<float, N>::at(x + at);
                if (before) had[u] = Pack<float, N>::at(before + at);
            }
#pragma unroll
            for (int u = 0; u < NORM_TOGETHER; u++) {
                int row = row0 + u * slices;
                if (row >= count) break;
                float r = inverses[row], mean = means[row], of_x[N], of_branch[N];
                float middle = 0.0f, mean_slope = 0.0f;
                if (kind.centred) middle = middles[2 * row], mean_slope = middles[2 * row + 1];
#pragma unroll
                for (int c = 0; c < N; c++) {
                    float slope = kind.after && before ? g[u][c] + had[u][c] : g[u][c];
                    float h = (kind.centred ? v[u][c] - middle : v[u][c]) * r;
                    float along = kind.centred ? slope * gains[c] - mean_slope : slope * gains[c];
                    of_x[c] = (along - h * mean) * r + (!kind.after && before ? had[u][c] : 0.0f);
                    of_branch[c] = multiplier * of_x[c];
                    sum[c] += slope * h;
                }
                long long at = (begin + row) * d + column * N;
                Pack<float, N>::of(of_x).put(dx + at);
                if (branch) Pack<T, N>::of(of_branch).put(branch + at);
            }
        }
        if (slices == 1) Pack<float, N>::of(sum).put(partials + (long long)blockIdx.x * d + column * N);
        else
#pragma unroll
            for (int c = 0; c < N; c++) sums[slice * d + column * N + c] = sum[c];
    }
    if (slices == 1) return;
    __syncthreads();
    for (int i = threadIdx.x; i < d; i += blockDim.x) {
        float sum = 0.0f;
        for (int s = 0; s < slices; s++) sum += sums[s * d + i];
        partials[(long long)blockIdx.x * d + i] = sum;
    }
}
#define NORM_BACKWARD(T, name, any)                                                                                    \
    extern "C" __global__ void name(const T* grad, const float* x, const float* inverse, const float* gain,            \
                                    const float* before, float* dx, T* branch, float multiplier, float* partials,      \
                                    int piece, int rows, int d, long long apart) {                                     \
        to_own_run(apart, grad, x, inverse, gain, before, dx, branch, partials);                                       \
        OF_CHANNELS(d, norm_backward, T, grad, x, inverse, gain, before, dx, branch, multiplier, partials, piece,      \
                    rows, d, Usual())                                                                                  \
    }                                                                                                                  \
    LISTED(name)                                                                                                       \
    extern "C" __global__ void any(const T* grad, const float* x, const float* inverse, const float* gain,             \
                                   const float* before, float* dx, T* branch, float multiplier, float* partials,       \
                                   int piece, int rows, int d, int centred, int after, long long apart) {              \
        to_own_run(apart, grad, x, inverse, gain, before, dx, branch, partials);                                       \
        AnyKind kind{false, centred != 0, after != 0, nullptr};                                                        \
        OF_CHANNELS(d, norm_backward, T, grad, x, inverse, gain, before, dx, branch, multiplier, partials, piece,      \
                    rows, d, kind)                                                                                     \
    }                                                                                                                  \
    LISTED(any)
NORM_BACKWARD(float, norm_backward_f32, any_norm_backward_f32)
NORM_BACKWARD(bf16, norm_backward_bf16, any_norm_backward_bf16)

// For each norm, the one at places[blockIdx.y] of `grads`: grad [d] (+)= sum of its partials [pieces, d]. A block of 256
// threads has 32 channels; its warps take every eighth piece, and their sums are added in order.
extern "C" __global__ void gain_reduce(const float* partials, int pieces, float* grads, const long long* places, int d,
                                       int accumulate, long long apart) {
    to_own_run(apart, partials, grads, places);
    SHARED(float, sums, 256);
    int lane = threadIdx.x % 32, i = blockIdx.x * 32 + lane;
    const float* from = partials + (long long)blockIdx.y * pieces * d + i;
    float sum = 0.0f;
#pragma unroll 8
    for (int piece = threadIdx.x / 32; piece < pieces && i < d; piece += 8) sum += from[(long long)piece * d];
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= 32 || i >= d) return;
    float* grad = grads + places[blockIdx.y] + i;
    float all = accumulate ? *grad : 0.0f;
    for (int warp = 0; warp < 8; warp++) all += sums[warp * 32 + lane];
    *grad = all;
}
LISTED(gain_reduce)
