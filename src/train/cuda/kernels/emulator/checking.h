// What checks of kernels are made of: numbers at random, launches, differences, slopes, a batch of tokens.
#pragma once
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

// An argument keeps its value until the launch, which is for one run.
template <class... A> bool start(const std::string& name, dim3 grid, unsigned block, unsigned shared, A... arguments) {
    long long apart = 0;
    void* pointers[] = {(void*)&arguments..., &apart};
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
