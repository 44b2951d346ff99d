// Softmax cross entropy of rows of logits, whose gradient takes their place.
#include "common.cuh"

// loss = ln(sum of exp(multiplier z)) - multiplier z[target], in nats, for each of the rows first .. first + gridDim.x of the
// batch, whose products z lie in `logits` [gridDim.x, vocab]. One block a row, of whole warps; losses [rows of the batch].
// Returns the largest logit and the sum of exponentials below it.
template <class T>
__device__ float2 row_loss(const T* row, int target, float multiplier, float* loss, int vocab) {
    float highest = -__int_as_float(0x7f800000), at_target = to_f32(row[target]) * multiplier;
    for (int i = threadIdx.x; i < vocab; i += blockDim.x) {
        float z = to_f32(row[i]) * multiplier;
        highest = z > highest || z != z ? z : highest;
    }
    highest = block_max(highest);
    float sum = 0.0f;
    for (int i = threadIdx.x; i < vocab; i += blockDim.x) sum += expf(to_f32(row[i]) * multiplier - highest);
    // When the sum is there, everybody has read the target's logit.
    sum = block_sum(sum);
    if (threadIdx.x == 0) *loss = highest + logf(sum) - at_target;
    return make_float2(highest, sum);
}

// The losses, and z becomes the gradient of weight x loss by it: weight x multiplier x (softmax - [target]).
template <class T>
__device__ void cross_entropy(T* logits, const Tokens& tokens, int first, int vocab, float multiplier, float weight,
                              float* losses) {
    T* row = logits + (long long)blockIdx.x * vocab;
    int target = tokens.target(first + blockIdx.x);
    float2 of = row_loss(row, target, multiplier, losses + first + blockIdx.x, vocab);
    float factor = weight * multiplier;
    for (int i = threadIdx.x; i < vocab; i += blockDim.x) {
        float p = expf(to_f32(row[i]) * multiplier - of.x) / of.y;
        row[i] = to<T>(factor * (p - (i == target ? 1.0f : 0.0f)));
    }
}
#define CROSS_ENTROPY(T, forward, both)                                                                                \
    extern "C" __global__ void forward(const T* logits, const u16* ring, long long stride, int slots,                  \
                                       const StepState* state, int context, int first, int vocab, float multiplier,    \
                                       float* losses) {                                                                \
        int row = first + blockIdx.x;                                                                                  \
        row_loss<T>(logits + (long long)blockIdx.x * vocab, Tokens(ring, stride, slots, state, context).target(row),   \
                    multiplier, losses + row, vocab);                                                                  \
    }                                                                                                                  \
    LISTED(forward)                                                                                                    \
    extern "C" __global__ void both(T* logits, const u16* ring, long long stride, int slots, const StepState* state,   \
                                    int context, int first, int vocab, float multiplier, float weight,                 \
                                    float* losses) {                                                                   \
        cross_entropy<T>(logits, Tokens(ring, stride, slots, state, context), first, vocab, multiplier, weight,        \
                         losses);                                                                                      \
    }                                                                                                                  \
    LISTED(both)
CROSS_ENTROPY(float, token_losses_f32, cross_entropy_f32)
CROSS_ENTROPY(bf16, token_losses_bf16, cross_entropy_bf16)

// loss_sum += sum of losses [rows] x weight. One block of at most 1024 threads, a power of two.
extern "C" __global__ void loss_sum(const float* losses, int rows, float weight, StepState* state) {
    double sum = 0.0;
    for (int i = threadIdx.x; i < rows; i += blockDim.x) sum += losses[i];
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) state->loss_sum += (float)(sum * weight);
}
LISTED(loss_sum)
