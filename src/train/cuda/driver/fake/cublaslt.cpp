// The library of products without a card: libcublasLt.so.13 with the functions that the engine calls. It refuses what does not
// fit together, and computes on the CPU in the stream of the fake driver.
//
//   FAKE_REFUSED   set: it takes no product, although it names an algorithm
//   FAKE_NONE      set: it names no algorithm, as a version that is older than the card
//   FAKE_SINGLE    set: it does one product at a time
//   FAKE_STATUS    the status with which each product fails
//   FAKE_SPLIT     parts in which its algorithms sum where they may: each wants memory for them [default: 1, which wants none]
#include "fake.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Numbers { F32 = 0, BF16 = 14 };
enum { FAST_TF32 = 77 };
static const size_t ALIGNMENT = 256;
// Where an algorithm tells its parts; before it are the alignments that it wants.
enum { PARTS = 4 };

struct Description { int compute, scale, transposed[2] = {0, 0}; };
// Columns of `rows` numbers, one every `pitch`.
struct Layout {
    int numbers;
    uint64_t rows, columns;
    int64_t pitch;
    int32_t count = 1;     // of matrices
    int64_t between = 0;   // numbers from one to the next
    int64_t before(int matrix) const { return matrix * between * (numbers == F32 ? 4 : 2); }
    size_t bytes() const { return ((columns - 1) * pitch + rows) * (numbers == F32 ? 4 : 2); }
};
struct Preference { uint64_t workspace = 0; uint32_t reductions = 0, alignment[4] = {}; };
struct Chosen { uint64_t algorithm[8]; size_t workspace; int state; float waves; int reserved[4]; };

static Status fault(const char* what) {
    fake_fault(what);
    return INVALID_VALUE;
}

EXPORTED size_t cublasLtGetVersion() { return 130002; }
EXPORTED Status cublasLtDestroy(void* handle) { return handle ? SUCCESS : fault("no handle is destroyed"); }
EXPORTED Status cublasLtCreate(void** handle) { return *handle = handle, fake_has_context() ? SUCCESS : NOT_INITIALIZED; }
// Descriptions are kept until the process ends, as the engine keeps them.
EXPORTED Status cublasLtMatmulDescCreate(Description** description, int compute, int scale) {
    return *description = new Description{compute, scale}, SUCCESS;
}
EXPORTED Status cublasLtMatmulDescSetAttribute(Description* description, int attribute, const int* value, size_t bytes) {
    if (bytes != 4 || (attribute != 3 && attribute != 4)) return fault("an attribute of a product that nobody set before");
    return description->transposed[attribute - 3] = *value, SUCCESS;
}
EXPORTED Status cublasLtMatrixLayoutCreate(Layout** layout, int numbers, uint64_t rows, uint64_t columns, int64_t pitch) {
    if (uint64_t(pitch) < rows) return fault("columns that overlap");
    return *layout = new Layout{numbers, rows, columns, pitch}, SUCCESS;
}
EXPORTED Status cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* value, size_t bytes) {
    if (attribute == 5 && bytes == 4) memcpy(&layout->count, value, bytes);
    else if (attribute == 6 && bytes == 8) memcpy(&layout->between, value, bytes);
    else return fault("an attribute of a matrix that nobody set before");
    return SUCCESS;
}
EXPORTED Status cublasLtMatmulPreferenceCreate(Preference** preference) { return *preference = new Preference, SUCCESS; }
EXPORTED Status cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
    if (attribute == 1 && bytes == 8) memcpy(&preference->workspace, value, bytes);
    else if (attribute == 3 && bytes == 4) memcpy(&preference->reductions, value, bytes);
    else if (attribute >= 5 && attribute <= 8 && bytes == 4) memcpy(&preference->alignment[attribute - 5], value, bytes);
    else return fault("a preference that nobody set before");
    return SUCCESS;
}

// Rows of op(a), columns of op(b), and what they have in common.
struct Size { uint64_t m, n, k, k_of_b; };
static Size size_of(const Description& description, const Layout& a, const Layout& b) {
    auto [turned_a, turned_b] = description.transposed;
    return {turned_a ? a.columns : a.rows, turned_b ? b.rows : b.columns, turned_a ? a.rows : a.columns,
            turned_b ? b.columns : b.rows};
}

// Bytes that an algorithm wants for its parts of all results.
static size_t wanted(const uint64_t* algorithm, const Layout* out) {
    return algorithm[PARTS] > 1 ? algorithm[PARTS] * out->rows * out->columns * 4 * out->count : 0;
}

EXPORTED Status cublasLtMatmulAlgoGetHeuristic(void*, Description* description, Layout* a, Layout* b, Layout*, Layout* out,
                                               Preference* preference, int, Chosen* chosen, int* count) {
    Size size = size_of(*description, *a, *b);
    if (size.m != out->rows || size.n != out->columns || size.k != size.k_of_b) return fault("sizes that do not fit together");
    // 1 are sums by atomics in place, 2 those of parts in the workspace.
    if (preference->reductions & 1) return fault("sums by atomics are allowed");
    if (preference->reductions && size.k % 64) return fault("sums in parts are allowed where some algorithms lose the rest");
    if (getenv("FAKE_NONE")) return NOT_SUPPORTED;
    *chosen = {};
    for (int i = 0; i < 4; i++) chosen->algorithm[i] = preference->alignment[i];
    const char* parts = getenv("FAKE_SPLIT");
    chosen->algorithm[PARTS] = preference->reductions && parts ? strtoull(parts, nullptr, 10) : 1;
    chosen->workspace = wanted(chosen->algorithm, out);
    if (chosen->workspace > preference->workspace) chosen->algorithm[PARTS] = 1, chosen->workspace = 0;
    return *count = 1, SUCCESS;
}

// Whether an algorithm does these products.
EXPORTED Status cublasLtMatmulAlgoCheck(void*, Description* description, Layout* a, Layout* b, Layout*, Layout* out,
                                        const uint64_t* algorithm, Chosen* checked) {
    Size size = size_of(*description, *a, *b);
    if (size.m != out->rows || size.n != out->columns || size.k != size.k_of_b) return fault("sizes that do not fit together");
    if (a->count != b->count || a->count != out->count) return fault("so many products of another number of factors");
    if (getenv("FAKE_SINGLE") && a->count > 1) return NOT_SUPPORTED;
    *checked = {};
    memcpy(checked->algorithm, algorithm, sizeof checked->algorithm);
    checked->workspace = wanted(algorithm, out);
    return SUCCESS;
}

static float get(const void* matrix, int numbers, uint64_t at) {
    if (numbers == F32) return static_cast<const float*>(matrix)[at];
    uint32_t bits = uint32_t(static_cast<const uint16_t*>(matrix)[at]) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static void put(void* matrix, int numbers, uint64_t at, float value) {
    if (numbers == F32) {
        static_cast<float*>(matrix)[at] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, 4);
    static_cast<uint16_t*>(matrix)[at] = std::isnan(value) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static float to_tf32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits = (bits + 0x1000) & 0xffffe000;
    memcpy(&value, &bits, 4);
    return value;
}

EXPORTED Status cublasLtMatmul(void*, Description* description, const float* alpha, const void* a, Layout* layout_a, const void* b,
                               Layout* layout_b, const float* beta, const void* c, Layout*, void* out, Layout* layout_out,
                               const uint64_t* algorithm, void* workspace, size_t workspace_bytes, Stream* stream) {
    if (getenv("FAKE_REFUSED")) return NOT_SUPPORTED;
    if (const char* status = getenv("FAKE_STATUS")) return Status(atoi(status));
    const void* places[] = {a, b, c, out};
    for (int i = 0; i < 4; i++)
        if (uint64_t(places[i]) % algorithm[i]) return fault("a matrix at a place that the algorithm does not take");
    if (c != out) return fault("a result beside what is added to it");
    auto holds = [](const void* at, size_t bytes) { return fake_holds(uint64_t(at), bytes); };
    if (workspace_bytes < wanted(algorithm, layout_out) || uint64_t(workspace) % ALIGNMENT || !holds(workspace, workspace_bytes))
        return fault("a workspace that is none");
    // All matrices of a factor or of the result, and one of them.
    auto missing = [&](const void* at, const Layout* layout, size_t place) {
        for (int matrix = 0; matrix < layout->count; matrix++) {
            uint64_t begin = uint64_t(at) + layout->before(matrix);
            if (begin % algorithm[place] || !holds((const void*)begin, layout->bytes())) return true;
        }
        return false;
    };
    if (missing(a, layout_a, 0) || missing(b, layout_b, 1) || missing(out, layout_out, 3))
        return fault("a matrix that is not whole in the card's memory, or not where the algorithm takes it");
    fake_enqueue(stream, [=, d = *description, x = *layout_a, y = *layout_b, o = *layout_out, alpha = *alpha, beta = *beta] {
        Size size = size_of(d, x, y);
        auto [turned_a, turned_b] = d.transposed;
        auto rounded = [&](float value) { return d.compute == FAST_TF32 ? to_tf32(value) : value; };
        for (int matrix = 0; matrix < o.count; matrix++) {
            auto left = (const char*)a + x.before(matrix), right = (const char*)b + y.before(matrix);
            auto result = (char*)out + o.before(matrix);
            for (uint64_t j = 0; j < size.n; j++)
                for (uint64_t i = 0; i < size.m; i++) {
                    float sum = 0;
                    for (uint64_t l = 0; l < size.k; l++)
                        sum += rounded(get(left, x.numbers, turned_a ? i * x.pitch + l : l * x.pitch + i)) *
                               rounded(get(right, y.numbers, turned_b ? l * y.pitch + j : j * y.pitch + l));
                    uint64_t at = j * o.pitch + i;
                    put(result, o.numbers, at, alpha * sum + (beta != 0 ? beta * get(result, o.numbers, at) : 0));
                }
        }
    });
    return SUCCESS;
}
