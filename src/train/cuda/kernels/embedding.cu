// Gradients of the tables of tokens and positions; the forward pass lies with the first normalization (norm.cu).
#include "common.cuh"

// Ids and channels of one block of `embed_backward`: their sums fit into the shared memory that every block may have.
#define EMBED_IDS 8
#define EMBED_CHANNELS 1024
// Rows that a block of 256 threads looks through at once, and those of one thread of them; rows asked for together.
#define EMBED_ROWS 1024
#define EMBED_MINE 4
#define EMBED_TOGETHER 16

// grad_table [vocab, d] (+)= multiplier x sum of grad [rows, d] over the rows of each id, in the order of the rows.
//
//   for each row: grad_table[id] += multiplier grad[row]
//
// One block for EMBED_IDS ids and EMBED_CHANNELS channels, of 256 threads. It reads the ids of all rows, 1024 at a time, lists those that are its own in
// their order, and adds their rows; each channel belongs to one thread, so no sum depends on who comes first. The ids are
// two bytes each and mostly in the cache: 32,768 rows and 50,304 ids are 0.4 GB of reads there and no list to sort.
// Dynamic shared memory: EMBED_IDS x min(d, EMBED_CHANNELS) floats.
extern "C" __global__ void embed_backward(const u16* ring, long long stride, int slots, const StepState* state,
                                          int context, const float* grad, float* grad_table, int d, int rows, int vocab,
                                          float multiplier, int accumulate, long long apart) {
    to_own_run(apart, ring, state, grad, grad_table);
    SHARED_DYNAMIC(float, memory);
    auto sums = memory;
    SHARED(int, listed, EMBED_ROWS);
    SHARED(int, counts, EMBED_MINE * 8);
    Tokens tokens(ring, stride, slots, state, context);
    int from = blockIdx.y * EMBED_CHANNELS, mine = d - from < EMBED_CHANNELS ? d - from : EMBED_CHANNELS;
    int first = blockIdx.x * EMBED_IDS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int i = threadIdx.x; i < EMBED_IDS * mine; i += blockDim.x) sums[i] = 0.0f;
    for (int begin = 0; begin < rows; begin += EMBED_ROWS) {
        int ids[EMBED_MINE];
        unsigned votes[EMBED_MINE];
#pragma unroll
        for (int u = 0; u < EMBED_MINE; u++) {
            int row = begin + u * 256 + threadIdx.x;
            ids[u] = row < rows ? tokens.input(row) - first : -1;
        }
#pragma unroll
        for (int u = 0; u < EMBED_MINE; u++) {
            votes[u] = __ballot_sync(0xffffffffu, ids[u] >= 0 && ids[u] < EMBED_IDS);
            if (lane == 0) counts[u * 8 + warp] = __popc(votes[u]);
        }
        __syncthreads();
        int all = 0;
#pragma unroll
        for (int u = 0; u < EMBED_MINE; u++)
#pragma unroll
            for (int w = 0; w < 8; w++) {
                if (w == warp && ids[u] >= 0 && ids[u] < EMBED_IDS)
                    listed[all + __popc(votes[u] & ((1u << lane) - 1))] = (begin + u * 256 + threadIdx.x) * EMBED_IDS + ids[u];
                all += counts[u * 8 + w];
            }
        __syncthreads();
        // A frequent id has many rows: some are asked for before the first is added.
        for (int i = threadIdx.x; i < mine; i += blockDim.x)
            for (int entry = 0; entry < all; entry += EMBED_TOGETHER) {
                float values[EMBED_TOGETHER];
#pragma unroll
                for (int u = 0; u < EMBED_TOGETHER; u++)
                    values[u] = entry + u < all ? grad[(long long)(listed[entry + u] / EMBED_IDS) * d + from + i] : 0.0f;
#pragma unroll
                for (int u = 0; u < EMBED_TOGETHER; u++) {
                    if (entry + u >= all) break;
                    int to = listed[entry + u] % EMBED_IDS * mine + i;
                    sums[to] = (float)sums[to] + values[u];
                }
            }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < EMBED_IDS * mine && first + i / mine < vocab; i += blockDim.x) {
        long long at = (long long)(first + i / mine) * d + from + i % mine;
        grad_table[at] = multiplier * (float)sums[i] + (accumulate ? grad_table[at] : 0.0f);
    }
}
LISTED(embed_backward)

// grad_positions [context, d] (+)= multiplier x sum of grad [rows, d] over the sequences, in their order. A thread a number.
extern "C" __global__ void positions_backward(const float* grad, float* grad_positions, int d, int context, int rows,
                                              float multiplier, int accumulate, long long apart) {
    to_own_run(apart, grad, grad_positions);
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x, each = (long long)context * d;
    if (i >= each) return;
    float sum = 0.0f;
    for (int sequence = 0; sequence < rows / context; sequence++) sum += grad[sequence * each + i];
    grad_positions[i] = multiplier * sum + (accumulate ? grad_positions[i] : 0.0f);
}
LISTED(positions_backward)

// sum [n] += grad: what a branch that reads the stream as it begins adds to its gradient. A thread a number.
#define ADD_GRADIENT(T, name)                                                                                          \
    extern "C" __global__ void name(const T* grad, float* sum, int n, long long apart) {                               \
        to_own_run(apart, grad, sum);                                                                                  \
        int i = blockIdx.x * blockDim.x + threadIdx.x;                                                                 \
        if (i < n) sum[i] += to_f32(grad[i]);                                                                          \
    }                                                                                                                  \
    LISTED(name)
ADD_GRADIENT(float, add_gradient_f32)
ADD_GRADIENT(bf16, add_gradient_bf16)
