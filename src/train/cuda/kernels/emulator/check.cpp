// Every kernel on the emulator against plain loops in double precision, and its gradients against differences of those
// loops. Ends with 1 and a line for each thing that is wrong. See scripts/check-kernels.sh.
#include "../all.cu"

#include <array>
#include <functional>
#include <limits>
#include <random>

using Doubles = std::vector<double>;
using Floats = std::vector<float>;

static int wrong = 0;
static std::mt19937_64 generator(1);

static void expect(bool good, const std::string& what) {
    if (good) return;
    wrong++;
    printf("wrong: %s\n", what.c_str());
}

template <class T> struct Name;
template <> struct Name<float> {
    static constexpr const char* text = "_f32";
    static constexpr double tolerance = 3e-6;
};
template <> struct Name<bf16> {
    static constexpr const char* text = "_bf16";
    static constexpr double tolerance = 1e-2;
};

template <class T> std::vector<T> draw(size_t n, double scale = 1.0) {
    std::normal_distribution<double> normal;
    std::vector<T> out(n);
    for (T& x : out) x = to<T>((float)(scale * normal(generator)));
    return out;
}
template <class T> Doubles wide(const std::vector<T>& x) {
    Doubles out;
    for (const T& v : x) out.push_back(to_f32(v));
    return out;
}

// The largest errors seen, as shares of what is tolerated, by what was looked at.
static std::map<std::string, std::pair<double, double>> errors;

// The largest difference, as a share of the largest value expected.
template <class T> void near(const std::string& what, const std::vector<T>& got, const Doubles& expected, double tolerance) {
    double most = 1e-30, off = 0;
    bool whole = got.size() == expected.size();
    for (size_t i = 0; whole && i < got.size(); i++) {
        most = std::fmax(most, std::fabs(expected[i]));
        double difference = std::fabs(to_f32(got[i]) - expected[i]);
        off = difference > off || difference != difference ? difference : off;
    }
    auto& seen = errors[what];
    seen = {std::fmax(seen.first, off / most), tolerance};
    char text[64];
    snprintf(text, sizeof text, ": off by %.1e of %.1e", off, most);
    expect(whole && off <= tolerance * most, what + text);
}

// An argument keeps its value until the launch.
template <class... A> bool start(const std::string& name, dim3 grid, unsigned block, unsigned shared, A... arguments) {
    void* pointers[] = {(void*)&arguments...};
    unsigned extent[3] = {grid.x, grid.y, grid.z}, threads[3] = {block, 1, 1};
    int status = cpu::launch(name.c_str(), extent, threads, shared, pointers);
    expect(status == 0, cpu::machine().error);
    return status == 0;
}

// The derivative of f along a direction, by differences.
static double slope(const std::function<double(const Doubles&)>& f, const Doubles& at, const Doubles& along) {
    const double h = 1e-5;
    Doubles up = at, down = at;
    for (size_t i = 0; i < at.size(); i++) up[i] += h * along[i], down[i] -= h * along[i];
    return (f(up) - f(down)) / (2 * h);
}
static double inner(const Doubles& a, const Doubles& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
    return sum;
}
// Whether a gradient is that of f, along directions drawn at random.
static void is_gradient(const std::string& what, const std::function<double(const Doubles&)>& f, const Doubles& at,
                        const Doubles& gradient, double tolerance) {
    for (int trial = 0; trial < 4; trial++) {
        Doubles along = wide(draw<float>(at.size()));
        double expected = slope(f, at, along), got = inner(gradient, along);
        // As large as slopes along random directions are.
        double size = std::sqrt(inner(gradient, gradient)) + 1e-30;
        auto& seen = errors[what];
        seen = {std::fmax(seen.first, std::fabs(got - expected) / size), tolerance};
        char text[96];
        snprintf(text, sizeof text, ": slope %.6g instead of %.6g (size %.2g)", got, expected, size);
        expect(std::fabs(got - expected) <= tolerance * size, what + text);
    }
}

struct Batch {
    int context, sequences, vocab, slots = 3;
    StepState state{};
    std::vector<u16> ring;
    long long stride;
    Batch(int context, int sequences, int vocab) : context(context), sequences(sequences), vocab(vocab) {
        stride = (long long)sequences * (context + 1);
        ring.resize(slots * stride);
        for (auto& id : ring) id = generator() % vocab;
        state.next = 7;
    }
    int rows() const { return context * sequences; }
    int token(int row, int ahead) const {
        return ring[state.next % slots * stride + row / context * (context + 1) + row % context + ahead];
    }
};

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
        start("embed_backward", {(unsigned)(vocab + EMBED_IDS - 1) / EMBED_IDS}, 256, EMBED_IDS * d * 4, b.ring.data(), b.stride,
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
    dim3 grid{(context + rows - 1) / rows, (unsigned)heads, (unsigned)sequences};
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

template <class T> void loss(int context, int sequences, int vocab, int first, int count, double size, unsigned threads = 64) {
    Batch b(context, sequences, vocab);
    auto z = draw<T>(count * vocab, size);
    const float multiplier = 0.5f, weight = 0.125f;
    Doubles expected(b.rows(), 9.0), gradient;
    for (int r = 0; r < count; r++) {
        double highest = -1e300, sum = 0;
        for (int i = 0; i < vocab; i++) highest = std::fmax(highest, multiplier * to_f32(z[r * vocab + i]));
        for (int i = 0; i < vocab; i++) sum += std::exp(multiplier * to_f32(z[r * vocab + i]) - highest);
        int target = b.token(first + r, 1);
        expected[first + r] = highest + std::log(sum) - multiplier * to_f32(z[r * vocab + target]);
        for (int i = 0; i < vocab; i++)
            gradient.push_back(weight * multiplier * (std::exp(multiplier * to_f32(z[r * vocab + i]) - highest) / sum - (i == target)));
    }
    std::string name = Name<T>::text;
    Floats losses(b.rows(), 9.0f);
    auto before = z;
    start("token_losses" + name, {(unsigned)count}, threads, 0, z.data(), b.ring.data(), b.stride, b.slots, &b.state, context, first,
          vocab, multiplier, losses.data());
    near("token_losses" + name, losses, expected, 1e-5);
    expect(!memcmp(before.data(), z.data(), z.size() * sizeof(T)), "token_losses writes where it is not asked to");
    losses.assign(b.rows(), 9.0f);
    start("cross_entropy" + name, {(unsigned)count}, threads, 0, z.data(), b.ring.data(), b.stride, b.slots, &b.state, context, first,
          vocab, multiplier, weight, losses.data());
    near("cross_entropy" + name, losses, expected, 1e-5);
    near("cross_entropy" + name + " gradient", z, gradient, Name<T>::tolerance);
}

template <class F, class R> void products(const std::string& name, double tolerance) {
    // Packs that are whole, that end in the middle, and that lie at no multiple of their size.
    for (auto [m, n, k] : {std::array{1, 1, 1}, {64, 96, 32}, {33, 70, 45}, {5, 200, 129}, {72, 24, 88}, {68, 132, 36}})
        for (int transposed = 0; transposed < 4; transposed++)
            for (float beta : {0.0f, 1.0f}) {
                auto a = draw<F>(m * k), b = draw<F>(k * n);
                std::vector<R> out = draw<R>(m * n);
                int ta = transposed & 1, tb = transposed >> 1;
                Doubles expected(m * n);
                auto factor = [&](F x) { return (double)(name == "product_tf32_f32" ? to_tf32(to_f32(x)) : to_f32(x)); };
                for (int i = 0; i < m; i++)
                    for (int j = 0; j < n; j++) {
                        double sum = 0;
                        for (int l = 0; l < k; l++)
                            sum += factor(a[ta ? l * m + i : i * k + l]) * factor(b[tb ? j * k + l : l * n + j]);
                        expected[i * n + j] = 0.25 * sum + beta * to_f32(out[i * n + j]);
                    }
                // What is not to stay may be anything.
                if (beta == 0.0f) out.assign(m * n, to<R>(std::nanf("")));
                start(name, {(unsigned)(n + TILE - 1) / TILE, (unsigned)(m + TILE - 1) / TILE}, 128, 0, a.data(), b.data(), out.data(),
                      m, n, k, ta, tb, 0.25f, beta);
                near(name, out, expected, tolerance);
            }
}

static void optimizer(int n, float limit) {
    auto values = draw<float>(n), firsts = draw<float>(n), seconds = draw<float>(n), grads = draw<float>(n);
    for (float& s : seconds) s *= s;
    std::vector<UpdateRow> rows{{0, 0, 0.01f, 0.001f, 1e-8f, 0}, {0, 0, 0.02f, 0.0f, 1e-3f, 0}};
    std::vector<int> owners(n / OWNED);
    for (size_t i = 0; i < owners.size(); i++) owners[i] = i % 3 == 0;
    Floats shares(10, 0.0f), partials(5);
    shares[6] = 0.75f;
    StepState state{};
    state.next = 6, state.loss_sum = 2.5f;
    const double beta1 = 0.9, beta2 = 0.99;
    auto losses = draw<float>(77);
    double sum = 0;
    for (float loss : losses) sum += loss;
    start("settle", {(unsigned)partials.size()}, 128, 0, grads.data(), (long long)n, partials.data(), losses.data(), 77, 0.5f, limit,
          shares.data(), beta1, beta2, &state);
    expect(state.next == 7 && state.current == 6 && state.rate_share == 0.75f && state.arrived == 0, "settle: the step");
    expect(std::fabs(state.loss_sum - 2.5 - 0.5 * sum) < 1e-5, "settle: the loss");
    double norm = std::sqrt(inner(wide(grads), wide(grads)));
    double factor = limit > 0 ? std::fmin(1.0, limit / norm) : 1.0;
    expect(std::fabs(state.norm / norm - 1) < 1e-6 && std::fabs(state.clip / factor - 1) < 1e-6, "settle: the norm");
    Doubles value = wide(values), first = wide(firsts), second = wide(seconds);
    for (int i = 0; i < n; i++) {
        UpdateRow row = rows[owners[i / OWNED]];
        double g = grads[i] * factor;
        first[i] = beta1 * first[i] + (1 - beta1) * g;
        second[i] = beta2 * second[i] + (1 - beta2) * g * g;
        double root = std::sqrt(second[i] / (1 - std::pow(beta2, 7))) + row.epsilon;
        value[i] = (1 - 0.75 * row.decay) * value[i] - 0.75 * row.rate * first[i] / (1 - std::pow(beta1, 7)) / root;
    }
    std::vector<bf16> rounded(n);
    auto update = [&](const char* name, Floats values, Floats firsts, Floats seconds) {
        start(name, {(unsigned)(n + 511) / 512}, 128, 0, values.data(), rounded.data(), firsts.data(), seconds.data(), grads.data(),
              rows.data(), owners.data(), (long long)n, (float)beta1, (float)beta2, &state);
        return std::array{values, firsts, seconds};
    };
    auto plain = update("adamw_f32", values, firsts, seconds);
    for (bf16 r : rounded) expect(r.bits == 0, "adamw_f32 rounds nothing");
    auto both = update("adamw_bf16", values, firsts, seconds);
    expect(plain == both, "adamw_bf16 and adamw_f32 agree to the bit");
    for (int& owner : owners) owner = owner == 0 ? -1 : owner;
    auto some = update("adamw_some_bf16", values, firsts, seconds);
    for (int i = 0; i < n; i++) {
        bool stepped = owners[i / OWNED] >= 0;
        expect(some[0][i] == (stepped ? both[0] : values)[i] && some[2][i] == (stepped ? both[2] : seconds)[i],
               "adamw_some steps some weights and leaves the others");
    }
    values = both[0], firsts = both[1], seconds = both[2];
    near("adamw", values, value, 1e-6);
    near("adamw first", firsts, first, 1e-6);
    near("adamw second", seconds, second, 1e-6);
    for (int i = 0; i < n; i++) expect(rounded[i].bits == to<bf16>(values[i]).bits, "adamw rounds its values");
    std::vector<double> sums(3);
    start("watch_f32", {3}, 64, 0, grads.data(), (long long)n, sums.data());
    double expected = 0;
    for (float g : grads) expected += std::fabs(g);
    expect(std::fabs((sums[0] + sums[1] + sums[2]) / expected - 1) < 1e-6, "watch");
}

// SGD and Lion.
static void by_momentum(int n) {
    auto values = draw<float>(n), momenta = draw<float>(n), grads = draw<float>(n);
    momenta[3] = grads[3] = 0.0f;
    std::vector<UpdateRow> rows{{0, 0, 0.01f, 0.001f, 0.0f, 0}, {0, 0, 0.02f, 0.0f, 0.0f, 0}};
    std::vector<int> owners(n / OWNED);
    for (size_t i = 0; i < owners.size(); i++) owners[i] = i % 3 == 0;
    StepState state{};
    state.clip = 0.5f, state.rate_share = 0.75f;
    for (bool lion : {false, true}) {
        Doubles value = wide(values), momentum = wide(momenta);
        const double beta1 = 0.9f, beta2 = 0.99f;
        for (int i = 0; i < n; i++) {
            UpdateRow row = rows[owners[i / OWNED]];
            double g = 0.5 * grads[i], mean = beta1 * momentum[i] + (1 - beta1) * g;
            momentum[i] = lion ? beta2 * momentum[i] + (1 - beta2) * g : beta1 * momentum[i] + g;
            double direction = lion ? (mean > 0) - (mean < 0) : momentum[i];
            value[i] = (1 - 0.75 * row.decay) * value[i] - 0.75 * row.rate * direction;
        }
        std::vector<bf16> rounded(n);
        std::array<Floats, 2> stepped[2];
        for (int number = 0; number < 2; number++) {
            auto [v, m] = std::array{values, momenta};
            dim3 grid{(unsigned)(n + 511) / 512};
            std::string name = std::string(lion ? "lion" : "sgd") + (number ? "_bf16" : "_f32");
            if (lion)
                start(name, grid, 128, 0, v.data(), rounded.data(), m.data(), grads.data(), rows.data(), owners.data(), (long long)n, 0.9f,
                      0.99f, &state);
            else start(name, grid, 128, 0, v.data(), rounded.data(), m.data(), grads.data(), rows.data(), owners.data(), (long long)n, 0.9f, &state);
            near(name, v, value, 1e-6);
            near(name + " momentum", m, momentum, 1e-6);
            for (int i = 0; i < n; i++) expect(rounded[i].bits == (number ? to<bf16>(v[i]).bits : 0), name + " rounds its values");
            stepped[number] = {v, m};
        }
        expect(stepped[0] == stepped[1], "both agree to the bit");
    }
}

// Muon's kernels between its products: of three weights the middle one is another's.
static void muon() {
    std::vector<UpdateRow> rows{{0, 96, 0.01f, 0.001f, 0.0f, 0}, {128, 150, 0.0f, 0.0f, 0.0f, 0}, {192, 392, 0.02f, 0.0f, 0.0f, 0}};
    std::vector<int> owners{0, 0, -1, 2, 2, 2, 2}, matrices{0, 2};
    int n = (int)owners.size() * OWNED;
    auto values = draw<float>(n), momenta = draw<float>(n), grads = draw<float>(n), x = draw<float>(n);
    for (const UpdateRow& row : rows)
        for (long long i = row.end; i % OWNED; i++) momenta[i] = grads[i] = 0.0f;
    Floats squares(owners.size(), -1.0f), inverses(3, -1.0f), before = x;
    StepState state{};
    state.clip = 0.5f, state.rate_share = 0.75f;
    Doubles momentum = wide(momenta), ahead = wide(x), value = wide(values);
    const double decay = 0.95f;
    Doubles norms(3);
    for (int i = 0; i < n; i++) {
        int weight = owners[i / OWNED];
        if (weight < 0) continue;
        double g = (1 - decay) * 0.5 * grads[i];
        momentum[i] = decay * momentum[i] + g;
        ahead[i] = decay * momentum[i] + g;
        norms[weight] += ahead[i] * ahead[i];
    }
    dim3 grid{(unsigned)(n + 511) / 512};
    start("muon_ahead", grid, 128, 0, momenta.data(), grads.data(), x.data(), owners.data(), squares.data(), (long long)n, 0.95f, &state);
    near("muon_ahead momentum", momenta, momentum, 1e-6);
    near("muon_ahead", x, ahead, 1e-6);
    expect(squares[2] == -1.0f, "another's weight has no norm");
    start("muon_norms", {2}, 64, 0, squares.data(), rows.data(), matrices.data(), inverses.data());
    start("muon_normalize", grid, 128, 0, x.data(), owners.data(), inverses.data(), (long long)n);
    for (int i = 0; i < n; i++) {
        int weight = owners[i / OWNED];
        if (weight < 0) continue;
        ahead[i] /= std::sqrt(norms[weight]);
        value[i] = (1 - 0.75 * rows[weight].decay) * value[i] - 0.75 * rows[weight].rate * ahead[i];
    }
    near("muon_normalize", x, ahead, 1e-6);
    std::vector<bf16> rounded(n);
    start("muon_step", grid, 128, 0, values.data(), rounded.data(), x.data(), rows.data(), owners.data(), (long long)n, &state);
    near("muon_step", values, value, 1e-6);
    for (int i = 0; i < n; i++)
        expect(rounded[i].bits == (owners[i / OWNED] < 0 ? 0 : to<bf16>(values[i]).bits), "muon_step rounds its values");
    std::vector<Square> places{{0, 5, 0}, {64, 3, 0}};
    auto s = draw<float>(80);
    Floats f(80, 9.0f);
    Doubles factor(80, 9.0);
    for (const Square& square : places)
        for (int i = 0; i < square.side * square.side; i++)
            factor[square.begin + i] = 2.0 * s[square.begin + i] + (i / square.side == i % square.side ? 3.0 : 0.0);
    start("muon_factor", {1, 2}, 32, 0, s.data(), f.data(), places.data(), 3.0f, 2.0f);
    near("muon_factor", f, factor, 1e-6);
}

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
    start("attention_f32", {1, 2, 1}, 128, 3 * ROWS * 9 * 4, qkv.data(), out.data(), denominators.data(), 8, 2, 8, 1.0f);
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
