// What a step consists of beside layers: the loss, products, optimizers.
#pragma once
#include "checking.h"

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

template <class T> void best_tokens(int rows, int vocab) {
    auto z = draw<T>(rows * vocab);
    // Equals, of which the first is taken, and rows without a number.
    for (int i = 0; i < vocab; i++) {
        z[i] = to<T>(1.0f);
        if (rows > 2) z[vocab + i] = to<T>(i < vocab / 2 ? -INFINITY : 2.0f), z[2 * vocab + i] = to<T>(std::nanf(""));
    }
    std::vector<int> best(rows + 1, -1), expected(rows + 1, 0);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vocab; i++)
            if (to_f32(z[r * vocab + i]) > to_f32(z[r * vocab + expected[r]])) expected[r] = i;
    expected[rows] = -1;
    std::string name = std::string("best_tokens") + Name<T>::text;
    start(name, {(unsigned)(rows + 3) / 4}, 128, 0, z.data(), rows, vocab, best.data());
    expect(best == expected, name);
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
