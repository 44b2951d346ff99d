// Runs CUDA kernels on the CPU, for tests. Each thread of a block is a fiber that runs until a barrier or an exchange of its
// warp; blocks run one after another. Shared memory is watched: two threads that touch the same element, one of them
// writing, without a barrier between, end the launch with an error, as does an index outside of it. So a missing barrier is
// found although fibers would hide it.
//
// Launches on several host threads at once are fine: all state belongs to the host's thread.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cpu {

// ---- Fibers -------------------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
// Keeps what a function must keep for its caller on the stack, and goes on with another stack.
asm(R"(
.text
.p2align 4
.type runner_switch_fiber, @function
.hidden runner_switch_fiber
.globl runner_switch_fiber
runner_switch_fiber:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size runner_switch_fiber, .-runner_switch_fiber
)");
extern "C" void runner_switch_fiber(void** from, void* to);
struct Context {
    void* stack = nullptr;
};
inline void switch_to(Context& from, Context& to) { runner_switch_fiber(&from.stack, to.stack); }
inline void prepare(Context& context, char* stack, size_t size, void (*entry)()) {
    auto top = reinterpret_cast<uintptr_t>(stack + size) & ~uintptr_t(15);
    auto words = reinterpret_cast<void**>(top);
    words[-1] = nullptr;                          // where a caller's address would be, so that the stack is aligned
    words[-2] = reinterpret_cast<void*>(entry);   // what `ret` takes
    std::fill(words - 8, words - 2, nullptr);     // the six registers
    context.stack = words - 8;
}
#else
#include <ucontext.h>
struct Context {
    ucontext_t context;
};
inline void switch_to(Context& from, Context& to) { swapcontext(&from.context, &to.context); }
inline void prepare(Context& context, char* stack, size_t size, void (*entry)()) {
    getcontext(&context.context);
    context.context.uc_stack.ss_sp = stack;
    context.context.uc_stack.ss_size = size;
    context.context.uc_link = nullptr;
    makecontext(&context.context, entry, 0);
}
#endif

constexpr size_t STACK = 64 << 10;
constexpr unsigned MOST_THREADS = 1024;

struct Barrier {
    unsigned waiting = 0, generation = 0;
};

struct Warp {
    Barrier barrier, exchange;
    uint64_t slots[32];
    uint32_t factors[32][6]; // of a product of the tensor cores
    unsigned left = 0; // threads that have not ended
};

// A copy to shared memory that was begun: it is there once it was waited for.
struct Seen;
struct Copy {
    unsigned* to;
    Seen* seen;
    unsigned word;
};

struct Fiber {
    Context context;
    // Groups of copies on their way, the one that is being made last.
    std::vector<std::vector<Copy>> copies;
    std::unique_ptr<char[]> stack;
    dim3 index;
    bool done = false;
};

struct Machine {
    Context host;
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    Barrier block;
    unsigned count = 0, current = 0, left = 0;
    void (*kernel)(void**) = nullptr;
    void** arguments = nullptr;
    std::vector<char> dynamic;
    std::string error;
    uint64_t launch = 0;   // number of the block of threads, over all launches: what was noted of others is old
    bool progress = false; // whether any thread has gone on in this round
};

inline Machine& machine() {
    static thread_local Machine m;
    return m;
}

inline void fail(const std::string& text) {
    if (machine().error.empty()) {
        char at[96];
        snprintf(at, sizeof at, " (block %u %u %u, thread %u)", blockIdx.x, blockIdx.y, blockIdx.z, machine().current);
        machine().error = text + at;
    }
}

inline void yield() {
    Machine& m = machine();
    switch_to(m.fibers[m.current].context, m.host);
    threadIdx = m.fibers[m.current].index;
}

inline void wait(Barrier& barrier, const unsigned& count) {
    unsigned mine = barrier.generation;
    machine().progress = true;
    barrier.waiting++;
    while (barrier.generation == mine) {
        if (barrier.waiting >= count) {
            barrier.waiting = 0;
            barrier.generation++;
            machine().progress = true;
            return;
        }
        yield();
        if (!machine().error.empty() && barrier.generation == mine) return;
    }
}

inline Warp& warp() { return machine().warps[machine().current / 32]; }

inline void run_fiber() {
    Machine& m = machine();
    threadIdx = m.fibers[m.current].index;
    m.kernel(m.arguments);
    m.fibers[m.current].done = true;
    m.progress = true;
    m.left--;
    warp().left--;
    for (;;) switch_to(m.fibers[m.current].context, m.host);
}

// ---- Shared memory that is watched ---------------------------------------------------------------------------------------

// When a thread touched something: two touches are in order where a barrier of the block, or for threads of one warp one of
// the warp, lies between them.
struct Touch {
    uint64_t launch = 0;
    unsigned thread = 0, block = 0, warp = 0;

    static Touch now() {
        Machine& m = machine();
        return {m.launch, m.current, m.block.generation, cpu::warp().barrier.generation};
    }
    bool races(const Touch& now) const {
        if (launch != now.launch || thread == now.thread || block != now.block) return false;
        return thread / 32 != now.thread / 32 || warp == now.warp;
    }
};

struct Seen {
    Touch write, read, other_read;
};

template <class T> struct Watch {
    // What was noted of the elements of dynamic shared memory, by their place.
    static Seen& of(T* at) {
        static thread_local std::map<T*, Seen> seen;
        return seen[at];
    }
};

inline void race(const char* how) { fail(std::string("shared memory ") + how + " without a barrier between"); }

inline void note_read(Seen& seen) {
    Touch now = Touch::now();
    if (seen.write.races(now)) race("written by one thread and read by another");
    // Of readers since the last write two are kept, of different threads: any writer differs from one of them.
    if (seen.read.launch != now.launch || seen.read.block != now.block || seen.read.thread == now.thread)
        seen.read = now;
    else
        seen.other_read = now;
}

inline void note_write(Seen& seen) {
    Touch now = Touch::now();
    if (seen.write.races(now)) race("written by two threads");
    if (seen.read.races(now) || seen.other_read.races(now)) race("read by one thread and written by another");
    seen.write = now;
}

template <class T> struct Reference {
    T* at;
    Seen* seen;
    operator T() const {
        note_read(*seen);
        return *at;
    }
    const Reference& operator=(T value) const {
        note_write(*seen);
        *at = value;
        return *this;
    }
    const Reference& operator=(const Reference& other) const { return *this = (T)other; }
    const Reference& operator+=(T value) const { return *this = (T) * this + value; }
};

// A view of shared memory that may be moved along it, as a pointer is.
template <class T> struct View {
    T* data;
    Seen* seen;
    long long size;
    long long begin = 0;
    Reference<T> operator[](long long i) const {
        static thread_local T nowhere;
        static thread_local Seen unseen;
        if (begin + i < 0 || begin + i >= size) {
            fail("shared memory touched at " + std::to_string(begin + i) + " of " + std::to_string(size));
            return {&nowhere, &unseen};
        }
        return {data + begin + i, seen + begin + i};
    }
    View operator+(long long by) const { return {data, seen, size, begin + by}; }
};

// A shared array of a kernel: one for each host thread, with other contents in each block of threads.
template <class T> struct Array {
    std::vector<T> data;
    std::vector<Seen> seen;
    explicit Array(size_t size) : data(size), seen(size) {}
    Reference<T> operator[](long long i) { return View<T>{data.data(), seen.data(), (long long)data.size()}[i]; }
};

template <class T> View<T> dynamic_shared() {
    static thread_local std::vector<Seen> seen;
    Machine& m = machine();
    size_t size = m.dynamic.size() / sizeof(T);
    if (seen.size() < size) seen.resize(size);
    return {reinterpret_cast<T*>(m.dynamic.data()), seen.data(), (long long)size};
}

// ---- Launches ------------------------------------------------------------------------------------------------------------

inline std::map<std::string, void (*)(void**)>& kernels() {
    static std::map<std::string, void (*)(void**)> all;
    return all;
}

template <auto kernel> struct Call;
template <class... A, void (*kernel)(A...)> struct Call<kernel> {
    template <size_t... I> static void with(void** arguments, std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_const_t<A>*>(arguments[I])...);
    }
    static void call(void** arguments) { with(arguments, std::index_sequence_for<A...>()); }
};

struct Listing {
    Listing(const char* name, void (*call)(void**)) { kernels()[name] = call; }
};

// Shared memory holds anything at the beginning of a block: what a kernel reads before it writes is seen as garbage.
inline void run_block(unsigned shared) {
    Machine& m = machine();
    m.launch++;
    m.block = Barrier();
    m.dynamic.assign(shared, '\xff');
    m.left = m.count;
    for (size_t w = 0; w < m.warps.size(); w++) {
        m.warps[w].barrier = m.warps[w].exchange = Barrier();
        m.warps[w].left = std::min(32u, m.count - (unsigned)w * 32);
    }
    for (unsigned t = 0; t < m.count; t++) {
        Fiber& fiber = m.fibers[t];
        if (!fiber.stack) fiber.stack.reset(new char[STACK]);
        fiber.done = false;
        fiber.copies.assign(1, {});
        prepare(fiber.context, fiber.stack.get(), STACK, run_fiber);
    }
    while (m.left > 0 && m.error.empty()) {
        m.progress = false;
        for (unsigned t = 0; t < m.count; t++) {
            if (m.fibers[t].done) continue;
            m.current = t;
            switch_to(m.host, m.fibers[t].context);
        }
        if (!m.progress && m.left > 0) fail("threads wait at different barriers");
    }
}

inline int launch(const char* name, const unsigned* grid, const unsigned* block, unsigned shared, void** arguments) {
    Machine& m = machine();
    m.error.clear();
    auto found = kernels().find(name);
    if (found == kernels().end()) {
        m.error = std::string("no kernel ") + name;
        return 1;
    }
    m.count = block[0] * block[1] * block[2];
    if (m.count == 0 || m.count > MOST_THREADS || grid[0] == 0 || grid[1] == 0 || grid[2] == 0) {
        m.error = "a grid or a block of a size that no card takes";
        return 1;
    }
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    m.kernel = found->second;
    m.arguments = arguments;
    if (m.fibers.size() < m.count) m.fibers.resize(m.count);
    m.warps.assign((m.count + 31) / 32, Warp());
    for (unsigned t = 0; t < m.count; t++)
        m.fibers[t].index = {t % block[0], t / block[0] % block[1], t / block[0] / block[1]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                run_block(shared);
                if (!m.error.empty()) {
                    m.error = std::string(name) + ": " + m.error;
                    return 2;
                }
            }
    return 0;
}

// Every lane gives a value and takes that of another; all of the warp take part.
template <class T> T exchange(T value, unsigned from) {
    Warp& w = warp();
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    w.slots[machine().current % 32] = bits;
    wait(w.exchange, w.left);
    bits = w.slots[from % 32];
    wait(w.exchange, w.left);
    T out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

} // namespace cpu

// ---- What kernels use ----------------------------------------------------------------------------------------------------

struct int2 {
    int x, y;
};
struct uint2 {
    unsigned x, y;
};
struct uint4 {
    unsigned x, y, z, w;
};

#define SHARED(type, name, size) static thread_local cpu::Array<type> name(size)
#define SHARED_DYNAMIC(type, name) cpu::View<type> name = cpu::dynamic_shared<type>()
#define LISTED(name) static cpu::Listing listing_##name(#name, cpu::Call<name>::call);

// A thread that has ended counts as one that waits, as on a card.
inline void __syncthreads() { cpu::wait(cpu::machine().block, cpu::machine().left); }
inline void __syncwarp(unsigned = ~0u) { cpu::wait(cpu::warp().barrier, cpu::warp().left); }
template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
    return cpu::exchange(value, cpu::machine().current % 32 ^ mask);
}
template <class T> T __shfl_sync(unsigned, T value, int lane) { return cpu::exchange(value, lane); }
inline unsigned __ballot_sync(unsigned, bool vote) {
    unsigned votes = 0;
    cpu::Warp& w = cpu::warp();
    w.slots[cpu::machine().current % 32] = vote;
    cpu::wait(w.exchange, w.left);
    for (int lane = 0; lane < 32; lane++) votes |= (unsigned)(w.slots[lane] & 1) << lane;
    cpu::wait(w.exchange, w.left);
    return votes;
}
// sum [16, 8] += a [16, 16] b [16, 8] in bf16, laid out as in mma.cuh.
inline void mma(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    cpu::Warp& w = cpu::warp();
    unsigned lane = cpu::machine().current % 32;
    const unsigned mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    memcpy(w.factors[lane], mine, sizeof mine);
    cpu::wait(w.exchange, w.left);
    auto half = [&](unsigned lane, unsigned word, unsigned odd) {
        return std::bit_cast<float>(odd ? w.factors[lane][word] & 0xffff0000u : w.factors[lane][word] << 16);
    };
    for (unsigned i = 0; i < 4; i++)
        for (unsigned l = 0; l < 16; l++) {
            unsigned column = lane % 4 * 2 + i % 2, t = l % 8 / 2;
            sum[i] += half(lane / 4 * 4 + t, i / 2 + l / 8 * 2, l % 2) * half(column * 4 + t, 4 + l / 8, l % 2);
        }
    cpu::wait(w.exchange, w.left);
}
// sum [16, 8] += a [16, 8] b [8, 8] in tf32, of whose numbers the tensor cores do not look at the lowest 13 bits.
inline void mma_tf32(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    cpu::Warp& w = cpu::warp();
    unsigned lane = cpu::machine().current % 32;
    const unsigned mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    memcpy(w.factors[lane], mine, sizeof mine);
    cpu::wait(w.exchange, w.left);
    auto seen = [&](unsigned lane, unsigned word) { return std::bit_cast<float>(w.factors[lane][word] & 0xffffe000u); };
    for (unsigned i = 0; i < 4; i++)
        for (unsigned l = 0; l < 8; l++) {
            unsigned column = lane % 4 * 2 + i % 2;
            sum[i] += seen(lane / 4 * 4 + l % 4, i / 2 + l / 4 * 2) * seen(column * 4 + l % 4, 4 + l / 4);
        }
    cpu::wait(w.exchange, w.left);
}
typedef cpu::View<unsigned> Words;
#define SHARED_WORDS(name) SHARED_DYNAMIC(unsigned, name)
// Matrices in shared memory as mma.cuh has them: each lane tells a row, and takes two neighbours of each matrix.
inline void take_rows(unsigned (&m)[4], const Words& row, bool transposed) {
    cpu::Warp& w = cpu::warp();
    unsigned lane = cpu::machine().current % 32, g = lane / 4, t = lane % 4;
    if (row.begin % 4) cpu::fail("a row of a matrix at no multiple of 16 bytes");
    w.slots[lane] = row.begin;
    cpu::wait(w.exchange, w.left);
    auto word = [&](unsigned matrix, unsigned of, unsigned number) {
        Words at = row;
        at.begin = (long long)w.slots[matrix * 8 + of];
        return (unsigned)at[number];
    };
    for (unsigned i = 0; i < 4; i++) {
        if (transposed) m[i] = (word(i, 2 * t, g / 2) >> 16 * (g % 2) & 0xffff) | word(i, 2 * t + 1, g / 2) >> 16 * (g % 2) << 16;
        else m[i] = word(i, g, t);
    }
    cpu::wait(w.exchange, w.left);
}
inline void take_matrices(unsigned (&m)[4], const Words& row) { take_rows(m, row, false); }
inline void take_transposed(unsigned (&m)[4], const Words& row) { take_rows(m, row, true); }

// Copies that are there once they were waited for. They may arrive earlier: so they count as writes when they begin, too.
template <int BYTES> void begin_copy(const Words& to, const void* from, bool there) {
    if (reinterpret_cast<uintptr_t>(from) % BYTES || to.begin * 4 % BYTES) cpu::fail("a copy at no multiple of " + std::to_string(BYTES));
    for (int w = 0; w < BYTES / 4; w++) {
        auto place = to[w];
        cpu::note_write(*place.seen);
        unsigned word = 0;
        if (there) memcpy(&word, (const unsigned*)from + w, 4);
        cpu::machine().fibers[cpu::machine().current].copies.back().push_back({place.at, place.seen, word});
    }
}
inline void end_group() { cpu::machine().fibers[cpu::machine().current].copies.emplace_back(); }
template <int N> void wait_for_copies() {
    auto& groups = cpu::machine().fibers[cpu::machine().current].copies;
    for (; groups.size() > N + 1; groups.erase(groups.begin()))
        for (cpu::Copy& copy : groups.front()) {
            cpu::note_write(*copy.seen);
            *copy.to = copy.word;
        }
}
inline uint2 two_words(const Words& from) {
    if (from.begin % 2) cpu::fail("two words at an odd place");
    return {from[0], from[1]};
}
inline bool __any_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) != 0; }
inline float power_of_two(float x) { return std::exp2(x); }

// Four bytes of two words, chosen by four digits of four bits.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned digits) {
    uint64_t both = (uint64_t)y << 32 | x;
    unsigned out = 0;
    for (int i = 0; i < 4; i++) out |= (unsigned)(both >> (digits >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return out;
}
// One access, which a card refuses where the address is no multiple of its size.
template <class W> W words_at(const void* from) {
    if (reinterpret_cast<uintptr_t>(from) % sizeof(W)) cpu::fail("memory read at no multiple of " + std::to_string(sizeof(W)));
    W words;
    memcpy(&words, from, sizeof words);
    return words;
}
template <class W> void put_words(void* to, W words) {
    if (reinterpret_cast<uintptr_t>(to) % sizeof(W)) cpu::fail("memory written at no multiple of " + std::to_string(sizeof(W)));
    memcpy(to, &words, sizeof words);
}
// Blocks run one after another.
inline unsigned atomicAdd(unsigned* at, unsigned value) { return std::exchange(*at, *at + value); }
inline void __threadfence() {}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
using std::pow;
using std::sqrt;
