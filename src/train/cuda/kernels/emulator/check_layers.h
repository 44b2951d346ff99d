// Layers of a model beside their plain loops, and their gradients beside differences of those.
#pragma once
#include "checking.h"

static void embedding(int context, int sequences, int d, int vocab) {
    Batch b(context, sequences, vocab);
    int n = b.rows();
    auto grad = draw<float>(n * d);
    Floats out(vocab * d, 0.5f);
    Doubles sums(vocab * d, 0.5);
    for (int i = 0; i < n * d; i++) sums[b.token(i / d, 0) * d + i % d] += 3.0 * grad[i];
    for (int accumulate : {1, 0}) {
        if (!accumulate)
            for (double& v : sums) v -= 0.5;
        Floats to = out;
        unsigned ids = (vocab + EMBED_IDS - 1) / EMBED_IDS, channels = (d + EMBED_CHANNELS - 1) / EMBED_CHANNELS;
        start("embed_backward", {ids, channels}, 256, EMBED_IDS * std::min(d, EMBED_CHANNELS) * 4, b.ring.data(), b.stride,
              b.slots, &b.state, context, grad.data(), to.data(), d, n, vocab, 3.0f, accumulate);
        near("embed_backward", to, sums, 1e-6);
    }
}

// Rows normalized one by one, each less its mean where that is asked for.
static Doubles normed(const Doubles& stream, const Doubles& gain, bool centred = false) {
    size_t d = gain.size();
    Doubles out(stream.size());
    for (size_t r = 0; r < stream.size() / d; r++) {
        double squares = 0, mean = 0;
        for (size_t i = 0; i < d && centred; i++) mean += stream[r * d + i] / d;
        for (size_t i = 0; i < d; i++) squares += (stream[r * d + i] - mean) * (stream[r * d + i] - mean);
        for (size_t i = 0; i < d; i++)
            out[r * d + i] = (stream[r * d + i] - mean) / std::sqrt(squares / d + NORM_EPSILON) * gain[i];
    }
    return out;
}

template <class T> void first_norm(int context, int sequences, int d, int vocab) {
    Batch b(context, sequences, vocab);
    int n = b.rows();
    auto table = draw<float>(vocab * d), gain = draw<float>(d);
    Floats stream(n * d), inverse(n);
    std::vector<T> out(n * d);
    Doubles expected(n * d);
    for (int i = 0; i < n * d; i++) expected[i] = 3.0 * table[b.token(i / d, 0) * d + i % d];
    std::string name = std::string("embed_norm") + Name<T>::text;
    start(name, {((unsigned)n + 3) / 4}, 128, 0, b.ring.data(), b.stride, b.slots, &b.state, context, table.data(), 3.0f,
          gain.data(), stream.data(), out.data(), inverse.data(), n, d);
    near(name + " stream", stream, expected, 1e-6);
    near(name, out, normed(expected, wide(gain)), Name<T>::tolerance);
}

template <class T> void norm(int n, int d, int piece, unsigned threads) {
    auto x = draw<float>(n * d), gain = draw<float>(d), before = draw<float>(n * d);
    auto branch = draw<T>(n * d), weights = draw<T>(n * d);
    Floats stream(n * d), inverse(n), dx(n * d), grad_gains(3 * d, 1.0f);
    std::vector<T> out(n * d), grad_branch(n * d);
    const double m = 0.7;
    Doubles sum = wide(x), gains = wide(gain), w = wide(weights);
    for (int i = 0; i < n * d; i++) sum[i] += (double)(float)m * to_f32(branch[i]);
    std::string name = Name<T>::text;
    unsigned blocks = (n + 1) / 2;
    start("add_norm" + name, {blocks}, 64, 0, x.data(), branch.data(), (float)m, gain.data(), stream.data(), out.data(),
          inverse.data(), n, d);
    near("add_norm" + name + " stream", stream, sum, 1e-6);
    near("add_norm" + name, out, normed(sum, gains), Name<T>::tolerance);
    start("add_norm" + name, {blocks}, 64, 0, x.data(), (T*)nullptr, 0.0f, gain.data(), x.data(), out.data(), inverse.data(), n, d);
    near("add_norm" + name + " alone", out, normed(wide(x), gains), Name<T>::tolerance);
    unsigned pieces = (n + piece - 1) / piece;
    // Of three norms, of which this is the second.
    Floats partials(3 * pieces * d, 2.0f);
    for (bool begins : {true, false}) {
        start("norm_backward" + name, {pieces}, threads, 0, weights.data(), x.data(), inverse.data(), gain.data(),
              begins ? (float*)nullptr : before.data(), dx.data(), grad_branch.data(), (float)m, partials.data() + pieces * d, piece, n,
              d);
        Doubles gradient = wide(dx), branches(n * d);
        for (int i = 0; i < n * d; i++) {
            branches[i] = m * gradient[i];
            if (!begins) gradient[i] -= before[i];
        }
        near("norm_backward" + name + " branch", grad_branch, branches, Name<T>::tolerance);
        is_gradient("norm_backward" + name, [&](const Doubles& x) { return inner(w, normed(x, gains)); }, wide(x), gradient, 1e-5);
    }
    std::vector<long long> places{2 * d, 0, d};
    start("gain_reduce", {((unsigned)d + 31) / 32, 3}, 256, 0, partials.data(), (int)pieces, grad_gains.data(), places.data(), d, 1);
    for (int i = d; i < 3 * d; i++) expect(grad_gains[i] == 1.0f + 2.0f * pieces, "each norm's gain has its own sum");
    Doubles gradient = wide(Floats(grad_gains.begin(), grad_gains.begin() + d));
    for (double& v : gradient) v -= 1.0;
    is_gradient("gain_reduce" + name, [&](const Doubles& g) { return inner(w, normed(wide(x), g)); }, gains, gradient, 1e-5);
}

// The kernels for every kind of normalization: before a branch, or behind it, where `before` is a gradient of the output.
template <class T> void any_norm(int n, int d, int piece, bool centred, bool after) {
    auto x = draw<float>(n * d), gain = draw<float>(d), before = draw<float>(n * d);
    auto branch = draw<T>(n * d), weights = draw<T>(n * d);
    Floats stream(n * d), inverse(2 * n), dx(n * d), whole(n * d);
    std::vector<T> out(n * d), grad_branch(n * d);
    const float m = 0.7f;
    Doubles sum = wide(x), gains = wide(gain), w = wide(weights);
    for (int i = 0; i < n * d; i++) sum[i] += (double)m * to_f32(branch[i]);
    std::string name = Name<T>::text;
    start("add_any_norm" + name, {(unsigned)(n + 1) / 2}, 64, 0, x.data(), branch.data(), m, gain.data(), stream.data(), out.data(),
          inverse.data(), n, d, (int)centred, after ? whole.data() : (float*)nullptr);
    near("add_any_norm" + name + " stream", stream, sum, 1e-6);
    near("add_any_norm" + name, out, normed(sum, gains, centred), Name<T>::tolerance);
    if (after) near("add_any_norm" + name + " whole", whole, normed(sum, gains, centred), 3e-6);
    unsigned pieces = (n + piece - 1) / piece;
    Floats partials(pieces * d);
    start("any_norm_backward" + name, {pieces}, 64, 0, weights.data(), stream.data(), inverse.data(), gain.data(), before.data(),
          dx.data(), grad_branch.data(), m, partials.data(), piece, n, d, (int)centred, (int)after);
    Doubles gradient = wide(dx), branches(n * d), of_gain(d);
    for (int i = 0; i < n * d; i++) {
        branches[i] = m * gradient[i];
        if (after) w[i] += before[i];
        else gradient[i] -= before[i];
    }
    for (unsigned i = 0; i < pieces * d; i++) of_gain[i % d] += partials[i];
    near("any_norm_backward" + name + " branch", grad_branch, branches, Name<T>::tolerance);
    auto loss = [&](const Doubles& x) { return inner(w, normed(x, gains, centred)); };
    is_gradient("any_norm_backward" + name, loss, wide(stream), gradient, 1e-5);
    is_gradient("any_norm_backward" + name + " gain", [&](const Doubles& g) { return inner(w, normed(wide(stream), g, centred)); }, gains,
                of_gain, 1e-5);
}

// Tokens with positions, with a normalization of any kind and bare.
template <class T> void positions(int context, int sequences, int d, int vocab) {
    Batch b(context, sequences, vocab);
    int n = b.rows();
    auto table = draw<float>(vocab * d), places = draw<float>(context * d), gain = draw<float>(d), grad = draw<float>(n * d);
    Floats stream(n * d), inverse(2 * n), whole(n * d);
    std::vector<T> out(n * d), more = draw<T>(n * d);
    Doubles expected(n * d), rows(n * d);
    for (int i = 0; i < n * d; i++) {
        expected[i] = 3.0 * table[b.token(i / d, 0) * d + i % d] + 0.5 * places[i / d % context * d + i % d];
        rows[i] = to_f32(to<T>((float)expected[i]));
    }
    std::string name = Name<T>::text;
    for (bool bare : {false, true}) {
        start("embed_any_norm" + name, {((unsigned)n + 3) / 4}, 128, 0, b.ring.data(), b.stride, b.slots, &b.state, context,
              table.data(), 3.0f, places.data(), 0.5f, bare ? (float*)nullptr : gain.data(), stream.data(), out.data(),
              inverse.data(), n, d, 1, bare ? stream.data() : whole.data());
        near("embed_any_norm" + name + " stream", stream, expected, 1e-6);
        near("embed_any_norm" + name, out, bare ? rows : normed(expected, wide(gain), true), Name<T>::tolerance);
    }
    near("embed_any_norm" + name + " whole", whole, normed(expected, wide(gain), true), 3e-6);
    Doubles sums(context * d), added = wide(grad);
    for (int i = 0; i < n * d; i++) sums[i % (context * d)] += 0.5 * grad[i], added[i] += to_f32(more[i]);
    for (int accumulate : {0, 1}) {
        Floats of_places(context * d, 0.25f);
        Doubles all = sums;
        for (double& v : all) v += accumulate ? 0.25 : 0.0;
        start("positions_backward", {(unsigned)(context * d + 63) / 64}, 64, 0, grad.data(), of_places.data(), d, context, n, 0.5f, accumulate);
        near("positions_backward", of_places, all, 1e-6);
    }
    start("add_gradient" + name, {(unsigned)(n * d + 63) / 64}, 64, 0, more.data(), grad.data(), n * d);
    near("add_gradient" + name, grad, added, 1e-6);
}

static double squared_relu_exactly(double x) { return x > 0 ? x * x : 0; }
static double silu_exactly(double x) { return x / (1 + std::exp(-x)); }
static double identity(double x) { return x; }
static double gelu_exactly(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

static double slope_at(double (*f)(double), double x) { return (f(x + 1e-6) - f(x - 1e-6)) / 2e-6; }

template <class T> void activation(const std::string& function, double (*f)(double), int n) {
    auto x = draw<T>(n, 2.0), grad = draw<T>(n);
    x[0] = to<T>(30.0f), x[1] = to<T>(-30.0f), x[2] = to<T>(0.0f);
    std::vector<T> y(n), dx = grad;
    Doubles expected(n), slopes(n);
    for (int i = 0; i < n; i++) {
        double v = to_f32(x[i]);
        expected[i] = f(v);
        slopes[i] = to_f32(grad[i]) * slope_at(f, v);
    }
    std::string name = Name<T>::text;
    start(function + name, {(unsigned)(n + 127) / 128}, 16, 0, x.data(), y.data(), (long long)n);
    start(function + "_backward" + name, {(unsigned)(n + 127) / 128}, 16, 0, x.data(), dx.data(), (long long)n);
    near(function + name, y, expected, Name<T>::tolerance);
    near(function + "_backward" + name, dx, slopes, Name<T>::tolerance);
}

template <class T> void gate(const std::string& function, double (*f)(double), int rows, int half) {
    int n = rows * half;
    auto x = draw<T>(2 * n, 2.0), grad = draw<T>(n);
    x[0] = to<T>(30.0f), x[1] = to<T>(-100.0f), x[2] = to<T>(0.0f);
    std::vector<T> y(n), dx(2 * n);
    Doubles expected(n), slopes(2 * n);
    for (int i = 0; i < n; i++) {
        int at = i / half * 2 * half + i % half;
        double gate = to_f32(x[at]), rest = to_f32(x[at + half]), g = to_f32(grad[i]);
        expected[i] = f(gate) * rest;
        slopes[at] = g * rest * slope_at(f, gate), slopes[at + half] = g * f(gate);
    }
    std::string name = Name<T>::text;
    start(function + name, {(unsigned)(n + 127) / 128}, 16, 0, x.data(), y.data(), (long long)n, half);
    start(function + "_backward" + name, {(unsigned)(n + 127) / 128}, 16, 0, x.data(), grad.data(), dx.data(), (long long)n, half);
    near(function + name, y, expected, Name<T>::tolerance);
    near(function + "_backward" + name, dx, slopes, Name<T>::tolerance);
}

// Queries, keys and values for each head, one by one: [rows, 3 heads, k] of [rows, heads + 2 kv_heads, k].
static Doubles each_head(const Doubles& packed, const Doubles& gain_query, const Doubles& gain_key, int rows, int heads, int kv,
                         int k, bool normalized) {
    Doubles out;
    for (int row = 0; row < rows; row++)
        for (int part = 0; part < 3; part++)
            for (int head = 0; head < heads; head++) {
                int from = part == 0 ? head : heads + (part - 1) * kv + head / (heads / kv);
                const double* x = &packed[((size_t)row * (heads + 2 * kv) + from) * k];
                Doubles one(x, x + k);
                if (normalized && part < 2) one = normed(one, part == 0 ? gain_query : gain_key);
                out.insert(out.end(), one.begin(), one.end());
            }
    return out;
}

template <class T> void heads(int rows, int heads, int kv, int k, bool normalized, int piece) {
    int each = heads + 2 * kv;
    auto packed = draw<T>(rows * each * k), weights = draw<T>(rows * 3 * heads * k);
    auto query = draw<float>(k), key = draw<float>(k);
    std::vector<T> qkv(rows * 3 * heads * k), grad(rows * each * k);
    Floats inverses(rows * (heads + kv));
    float *of_query = normalized ? query.data() : nullptr, *of_key = normalized ? key.data() : nullptr;
    std::string name = Name<T>::text;
    start("heads" + name, {(unsigned)(rows * each + HEADS_WARPS - 1) / HEADS_WARPS}, 32 * HEADS_WARPS, 0, packed.data(), of_query, of_key,
          qkv.data(), inverses.data(), rows, heads, kv, k);
    Doubles x = wide(packed), gq = wide(query), gk = wide(key), w = wide(weights);
    near("heads" + name, qkv, each_head(x, gq, gk, rows, heads, kv, k, normalized), Name<T>::tolerance);
    unsigned pieces = (rows + piece - 1) / piece;
    Floats sums(2 * pieces * k, 7.0f);
    start("heads_backward" + name, {pieces}, 32 * HEADS_WARPS, 0, weights.data(), packed.data(), inverses.data(), of_query, of_key, grad.data(),
          sums.data(), sums.data() + pieces * k, piece, rows, heads, kv, k);
    auto loss = [&](const Doubles& x, const Doubles& gains) {
        Doubles gq(gains.begin(), gains.begin() + k), gk(gains.begin() + k, gains.end());
        return inner(w, each_head(x, gq, gk, rows, heads, kv, k, normalized));
    };
    Doubles gains = gq, of_gains(2 * k);
    gains.insert(gains.end(), gk.begin(), gk.end());
    is_gradient("heads_backward" + name, [&](const Doubles& x) { return loss(x, gains); }, x, wide(grad), Name<T>::tolerance * 5);
    if (!normalized) return;
    for (unsigned i = 0; i < 2 * pieces * k; i++) of_gains[i / (pieces * k) * k + i % k] += sums[i];
    is_gradient("heads_backward" + name + " gains", [&](const Doubles& gains) { return loss(x, gains); }, gains, of_gains, 1e-5);
}

template <class T> void attention_of(int context, int sequences, int heads, int k) {
    int d = heads * k, n = context * sequences, half = k / 2;
    auto qkv = draw<T>(n * 3 * d), weights = draw<T>(n * d);
    Floats cos(context * half), sin(context * half);
    for (int i = 0; i < context * half; i++) {
        double angle = i / half * std::pow(10000.0, -(i % half) / (double)half);
        cos[i] = (float)std::cos(angle), sin[i] = (float)std::sin(angle);
    }
    double scale = 1 / std::sqrt((double)k), absolute = 0;
    // Channel c of a query (part 0) or key (1) as turned; a value (2) as it is.
    auto turned_of = [&](const Doubles& qkv, int row, int part, int head, int c) {
        const double* x = &qkv[(size_t)row * 3 * d + part * d + head * k];
        if (part == 2) return x[c];
        double co = cos[row % context * half + c % half], si = sin[row % context * half + c % half];
        double a = x[c % half], b = x[c % half + half];
        return c < half ? a * co - b * si : a * si + b * co;
    };
    // Output [n, d] and denominators [sequences, heads, context]; with turned queries and keys rounded to bf16 or not.
    auto plain = [&](const Doubles& qkv, Doubles& denominators, double& absolute, bool rounded = false) {
        Doubles out(n * d);
        denominators.assign(n * heads, 0.0);
        absolute = 0;
        auto turned = [&](int row, int part, int head, int c) {
            double x = turned_of(qkv, row, part, head, c);
            return rounded ? to_f32(to<bf16>((float)x)) : x;
        };
        for (int s = 0; s < sequences; s++)
            for (int head = 0; head < heads; head++)
                for (int i = 0; i < context; i++) {
                    Doubles p(i + 1);
                    double sum = 0;
                    for (int j = 0; j <= i; j++) {
                        double z = 0;
                        for (int c = 0; c < k; c++)
                            z += turned(s * context + i, 0, head, c) * turned(s * context + j, 1, head, c);
                        absolute += std::fabs(scale * z);
                        sum += p[j] = std::exp(scale * z);
                    }
                    denominators[(s * heads + head) * context + i] = std::log(sum);
                    for (int j = 0; j <= i; j++)
                        for (int c = 0; c < k; c++)
                            out[(s * context + i) * d + head * k + c] +=
                                p[j] / sum * qkv[(size_t)(s * context + j) * 3 * d + 2 * d + head * k + c];
                }
        return out;
    };
    std::string name = Name<T>::text;
    std::vector<T> out(n * d), grad(n * 3 * d);
    Floats denominators(n * heads);
    Doubles expected_denominators;
    Doubles before = wide(qkv);
    Doubles expected = plain(before, expected_denominators, absolute);
    bool rounded = std::is_same_v<T, bf16> && ON_TENSOR_CORES(k);
    unsigned rows = rounded ? MMA_ROWS : ROWS;
    dim3 grid{(context + rows - 1) / rows * heads, (unsigned)sequences};
    unsigned tile = ROWS * (k + 1) * 4, stages = 2 * MMA_STAGE(k) * 4;
    Doubles turned(n * 3 * d);
    for (int row = 0; row < n; row++)
        for (int part = 0; part < 3; part++)
            for (int c = 0; c < d; c++) turned[(size_t)row * 3 * d + part * d + c] = turned_of(before, row, part, c / k, c % k);
    start("rotate" + name, {(unsigned)(n * d / 4 + 99) / 100}, 100, 0, qkv.data(), cos.data(), sin.data(), n, context, heads, k);
    near("rotate" + name, qkv, turned, Name<T>::tolerance);
    start("attention" + name, grid, 128, rounded ? stages : 3 * tile, qkv.data(), out.data(), denominators.data(), context, heads, k, (float)scale);
    near("attention" + name, out, expected, Name<T>::tolerance);
    // In bf16 queries and keys are rounded after turning: over 40 seeds 1.6e-3 of the largest at most. With factors rounded
    // likewise only sums in f32 differ, and now and then a factor halfway between two bf16: 3.2e-5.
    constexpr bool small = std::is_same_v<T, bf16>;
    near("attention" + name + " denominators", denominators, expected_denominators, small ? 5e-3 : 1e-6);
    double unused;
    plain(before, expected_denominators, absolute, small);
    near("attention" + name + " denominators of the same factors", denominators, expected_denominators, small ? 1e-4 : 1e-6);
    grid.x *= 2;
    Floats deltas(n * heads);
    start("attention_deltas" + name, {(unsigned)(n * heads + 63) / 64}, 64, 0, out.data(), weights.data(), deltas.data(), n, context, heads, k);
    start("attention_backward" + name, grid, 128, rounded ? stages : 4 * tile, qkv.data(), cos.data(), sin.data(), denominators.data(),
          deltas.data(), weights.data(), grad.data(), context, heads, k, (float)scale);
    Doubles w = wide(weights);
    is_gradient("attention backward" + name, [&](const Doubles& x) {
        Doubles ignored;
        return inner(w, plain(x, ignored, unused));
    }, before, wide(grad), Name<T>::tolerance * 5);
    Floats sums(n);
    start("watch_logits" + name, {(unsigned)n}, 128, 0, qkv.data(), sums.data(), context, heads, k, (float)scale);
    double all = 0;
    for (float sum : sums) all += sum;
    expect(std::fabs(all / absolute - 1) < (small ? 1e-4 : 1e-5), "watch_logits" + name);
}
