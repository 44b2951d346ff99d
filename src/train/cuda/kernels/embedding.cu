// Token embedding.
#include "common.cuh"

// x [rows, d] = multiplier table[id of the row]. One block a row.
extern "C" __global__ void embed(const u16* ring, long long stride, int slots, const StepState* state, int context,
                                 const float* table, float* x, int d, float multiplier) {
    Tokens tokens(ring, stride, slots, state, context);
    int row = blockIdx.x;
    const float* from = table + (long long)tokens.input(row) * d;
    for (int i = threadIdx.x; i < d; i += blockDim.x) x[(long long)row * d + i] = multiplier * from[i];
}
LISTED(embed)

// Ids of one block of `embed_backward`.
#define EMBED_IDS 8

// grad_table [vocab, d] (+)= multiplier x sum of grad [rows, d] over the rows of each id, in the order of the rows.
//
//   for each row: grad_table[id] += multiplier grad[row]
//
// One block for EMBED_IDS ids, of 256 threads. It reads the ids of all rows, 256 at a time, lists those that are its own in
// their order, and adds their rows; each channel belongs to one thread, so no sum depends on who comes first. The ids are
// two bytes each and mostly in the cache: 32,768 rows and 50,304 ids are 0.4 GB of reads there and no list to sort.
// Dynamic shared memory: EMBED_IDS x d floats.
extern "C" __global__ void embed_backward(const u16* ring, long long stride, int slots, const StepState* state,
                                          int context, const float* grad, float* grad_table, int d, int rows, int vocab,
                                          float multiplier, int accumulate) {
    SHARED_DYNAMIC(float, memory);
    auto sums = memory;
    SHARED(int, listed, 256);
    SHARED(int, counts, 8);
    Tokens tokens(ring, stride, slots, state, context);
    int first = blockIdx.x * EMBED_IDS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int i = threadIdx.x; i < EMBED_IDS * d; i += blockDim.x) sums[i] = 0.0f;
    for (int begin = 0; begin < rows; begin += 256) {
        int row = begin + threadIdx.x;
        int id = row < rows ? tokens.input(row) - first : -1;
        bool ours = id >= 0 && id < EMBED_IDS;
        unsigned votes = __ballot_sync(0xffffffffu, ours);
        if (lane == 0) counts[warp] = __popc(votes);
        __syncthreads();
        int before = 0, all = 0;
        for (int w = 0; w < 8; w++) {
            int count = counts[w];
            before += w < warp ? count : 0;
            all += count;
        }
        if (ours) listed[before + __popc(votes & ((1u << lane) - 1))] = row * EMBED_IDS + id;
        __syncthreads();
        for (int entry = 0; entry < all; entry++) {
            int packed = listed[entry];
            const float* from = grad + (long long)(packed / EMBED_IDS) * d;
            int to = packed % EMBED_IDS * d;
            for (int i = threadIdx.x; i < d; i += blockDim.x) sums[to + i] = (float)sums[to + i] + from[i];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < EMBED_IDS * d && first + i / d < vocab; i += blockDim.x) {
        long long at = (long long)first * d + i;
        grad_table[at] = multiplier * (float)sums[i] + (accumulate ? grad_table[at] : 0.0f);
    }
}
LISTED(embed_backward)
