// Every kernel on the emulator against plain loops in double precision, and its gradients against differences of those
// loops. Ends with 1 and a line for each thing that is wrong. See scripts/check-kernels.sh.
#include "check_layers.h"
#include "check_steps.h"

// What is no number stays none, and nothing hangs.
static void not_numbers() {
    Batch b(8, 1, 50);
    for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
        auto z = draw<float>(8 * 50);
        z[5] = bad, z[50 + 3] = -std::numeric_limits<float>::infinity();
        Floats losses(8);
        start("cross_entropy_f32", {8}, 32, 0, z.data(), b.ring.data(), b.stride, b.slots, &b.state, 8, 0, 50, 1.0f, 1.0f, losses.data());
        expect(!std::isfinite(losses[0]) && std::isfinite(losses[1]), "a logit that is no number makes its row's loss none, one of minus infinity does not");
    }
    Floats qkv = draw<float>(8 * 48), out(8 * 16), denominators(16);
    qkv[3 * 48] = std::nanf("");
    start("attention_f32", {2}, 128, 3 * ROWS * 9 * 4, qkv.data(), out.data(), denominators.data(), 8, 2, 8, 1.0f);
    expect(std::isfinite(out[2 * 16]) && std::isnan(out[3 * 16]) && std::isfinite(out[3 * 16 + 8]),
           "a query that is no number makes its own row and head none");
    StepState state{};
    Floats grads{1.0f, std::nanf(""), 1.0f, 1.0f}, losses(1), partials(1), shares(1);
    start("settle", {}, 32, 0, grads.data(), 4LL, partials.data(), losses.data(), 1, 1.0f, 1.0f, shares.data(), 0.9, 0.9, &state);
    expect(std::isnan(state.clip), "a gradient that is no number is not clipped to one");
}

// ---- The emulator itself -------------------------------------------------------------------------------------------------

extern "C" void planted_no_barrier(float* out) {
    SHARED(float, x, 64);
    x[threadIdx.x] = (float)threadIdx.x;
    out[threadIdx.x] = x[(threadIdx.x + 40) % 64];
}
LISTED(planted_no_barrier)
extern "C" void planted_overwrite(float* out) {
    SHARED(float, x, 64);
    x[threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    float other = x[63 - threadIdx.x];
    x[threadIdx.x] = other;
    out[threadIdx.x] = other;
}
LISTED(planted_overwrite)
extern "C" void planted_no_warp_barrier(float* out) {
    SHARED(float, x, 64);
    x[threadIdx.x] = (float)threadIdx.x;
    out[threadIdx.x] = x[threadIdx.x ^ 1];
}
LISTED(planted_no_warp_barrier)
extern "C" void warp_barrier(float* out) {
    SHARED(float, x, 64);
    x[threadIdx.x] = (float)threadIdx.x;
    __syncwarp();
    out[threadIdx.x] = x[threadIdx.x ^ 1];
}
LISTED(warp_barrier)
extern "C" void planted_outside(float* out) {
    SHARED(float, x, 64);
    x[threadIdx.x + 1] = 0.0f;
    out[threadIdx.x] = 0.0f;
}
LISTED(planted_outside)
extern "C" void planted_divided(float* out) {
    if (threadIdx.x % 32 < 16) __syncwarp();
    else __syncthreads();
    out[threadIdx.x] = 0.0f;
}
LISTED(planted_divided)

// Sums and maxima one after another.
extern "C" void reductions(float* out) {
    float x = (float)threadIdx.x;
    out[threadIdx.x] = block_sum(x) + block_sum(2 * x) + block_max(x) + block_max(-x) + (float)block_sum_f64(x) +
                       (float)block_sum_f64(-x);
}
LISTED(reductions)

static void emulator() {
    Floats out(64);
    float* to = out.data();
    void* arguments[] = {&to};
    unsigned grid[3] = {1, 1, 1}, block[3] = {64, 1, 1};
    for (const char* name : {"planted_no_barrier", "planted_overwrite", "planted_no_warp_barrier", "planted_outside", "planted_divided"})
        expect(cpu::launch(name, grid, block, 0, arguments) == 2, std::string(name) + " is not found");
    expect(cpu::launch("warp_barrier", grid, block, 0, arguments) == 0, "a barrier of the warp is one: " + cpu::machine().error);
    expect(out[5] == 4.0f, "warp_barrier");
    expect(cpu::launch("reductions", grid, block, 0, arguments) == 0, cpu::machine().error);
    expect(out[5] == 3 * 2016.0f + 63.0f, "reductions");
    expect(cpu::launch("no_such_kernel", grid, block, 0, arguments) == 1, "a kernel that is not there");
}

static void all() {
    emulator();
    embedding(16, 20, 24, 30);
    embedding(7, 1, 5, 1000);
    embedding(700, 2, 3, 9);
    embedding(5, 3, EMBED_CHANNELS + 270, 20);
    first_norm<float>(16, 3, 24, 30);
    first_norm<bf16>(7, 1, 5, 100);
    norm<float>(150, 24, 64, 64);
    norm<float>(1, 257, 16, 64);
    norm<float>(9, 600, 5, 64);
    norm<bf16>(70, 64, 16, 128);
    norm<bf16>(33, 7, 16, 32);
    any_norm<float>(70, 24, 64, true, false);
    any_norm<float>(9, 7, 5, true, true);
    any_norm<bf16>(33, 64, 16, true, true);
    any_norm<bf16>(20, 32, 16, false, true);
    positions<float>(16, 3, 24, 30);
    positions<bf16>(7, 2, 5, 100);
    activation<float>("gelu", gelu_exactly, 1000);
    activation<bf16>("gelu", gelu_exactly, 130);
    activation<float>("squared_relu", squared_relu_exactly, 1000);
    activation<bf16>("squared_relu", squared_relu_exactly, 130);
    gate<float>("gated_silu", silu_exactly, 9, 24);
    gate<bf16>("gated_silu", silu_exactly, 5, 8);
    gate<float>("gated_gelu", gelu_exactly, 9, 24);
    gate<bf16>("gated_gelu", gelu_exactly, 5, 8);
    gate<float>("gated", identity, 9, 24);
    gate<bf16>("gated", identity, 5, 8);
    heads<float>(21, 4, 2, 8, true, 16);
    heads<float>(5, 3, 1, 40, false, 16);
    heads<bf16>(19, 2, 2, 128, true, 8);
    heads<bf16>(19, 4, 1, 16, true, 16);
    attention_of<float>(64, 2, 2, 16);
    attention_of<float>(45, 1, 3, 8);
    attention_of<float>(1, 2, 1, 8);
    attention_of<float>(70, 1, 1, 128);
    attention_of<bf16>(40, 1, 2, 40);
    attention_of<bf16>(40, 1, 2, 16);
    attention_of<bf16>(1, 2, 1, 32);
    attention_of<bf16>(100, 2, 1, 32);
    attention_of<bf16>(135, 1, 2, 64);
    loss<float>(16, 4, 100, 8, 20, 3.0);
    loss<float>(16, 4, 1000, 0, 64, 40.0);
    loss<bf16>(5, 3, 33, 0, 15, 3.0);
    loss<bf16>(5, 3, 5000, 0, 3, 3.0);
    loss<bf16>(5, 3, 801, 0, 5, 3.0, 32);
    loss<float>(5, 3, 2, 0, 15, 3.0, 128);
    best_tokens<float>(9, 257);
    best_tokens<float>(1, 3);
    best_tokens<bf16>(4, 5000);
    products<float, float>("product_f32_f32", 2e-6);
    products<float, float>("product_tf32_f32", 2e-6);
    products<bf16, bf16>("product_bf16_bf16", 1e-2);
    products<bf16, float>("product_bf16_f32", 1e-6);
    optimizer(10 * OWNED, 1.0f);
    optimizer(200 * OWNED, 0.0f);
    by_momentum(10 * OWNED);
    muon();
    not_numbers();
}

// With a number, so many seeds, and then the largest errors beside what is tolerated.
int main(int count, char** arguments) {
    int seeds = count > 1 ? atoi(arguments[1]) : 1;
    for (int seed = 1; seed <= seeds; seed++) {
        generator.seed(seed);
        all();
    }
    if (count > 1)
        for (const auto& [what, seen] : errors) printf("%-40s %.1e of %.0e\n", what.c_str(), seen.first, seen.second);
    if (wrong == 0) puts("every kernel is as its plain loops");
    return wrong != 0;
}
