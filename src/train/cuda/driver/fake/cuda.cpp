// A driver without a card: libcuda.so.1 with the functions that the engine calls. It refuses what a card would refuse (sizes of
// launches, registers, shared memory, memory that is not the card's, calls that a recording forbids), runs the kernels on the
// CPU (../../kernels/emulator), and does the work of a stream only when somebody waits for it, so that a wait that is missing
// shows. What it had to refuse, and what was still there at the end, is reported. scripts/check-driver.sh uses it.
//
//   FAKE_KERNELS      the shared object of emulated.cpp
//   FAKE_CAPABILITY   compute capability, 90 for 9.0 [default: 90]      FAKE_VERSION   CUDA of the driver [default: 13000]
//   FAKE_MIB          memory of the card [default: 4096]                FAKE_REPORT    a file for the reports [default: stderr]
//   FAKE_POOLS        1 where memory may be taken in the order of a stream [default: 1]
//   FAKE_INIT         an error of the driver's start                    FAKE_PINNED    MiB of pinned memory [default: 4096]
//   FAKE_COUNT        an error of counting the cards               FAKE_NO_GRAPHS set: there is no room for any graph
//   FAKE_LOST         a file: once it is there the card is lost, for one process, after LOST_AFTER graphs; the file goes
#include "fake.h"
#include "image.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <dlfcn.h>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    OUT_OF_RESOURCES = 701,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_WRONG_THREAD = 908,
    LOST = 999,
};
using Work = std::function<void()>;
using Graph = std::vector<Work>;
struct Stream { std::deque<Work> queue; std::unique_ptr<Graph> recording; std::thread::id recorder; };
struct Event { bool recorded = false, done = false; double at = 0; Stream* stream = nullptr; };
struct Module { Kernels kernels; };
struct Function { std::string name; const Kernel* kernel; Module* module; unsigned most_shared; };
struct Piece { size_t bytes; std::unique_ptr<char[]> memory; bool ordered, freed = false; };

// What a block has without asking, and by asking; registers of a multiprocessor.
static const unsigned USUAL_SHARED = 48 << 10, MOST_SHARED = 227 << 10, REGISTERS = 65536;
// Memory begins at multiples of this; before and behind each piece as much is filled, to see whether a kernel leaves it.
static const size_t GUARD = 256;
static const char FILLED = char(0xa5);
// Graphs that a process starts before its card is lost.
static const size_t LOST_AFTER = 20;

static size_t setting(const char* name, size_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

// ---- state: one card, behind one lock

static std::recursive_mutex mutex;
static std::set<Stream*> streams;
static std::set<Event*> events;
static std::set<Module*> modules;
static std::set<Graph*> graphs, executables;
static std::map<uint64_t, Piece> memory;
static std::map<const char*, size_t> pinned;
static std::deque<Function> functions; // live as long as the process
static size_t taken = 0, launched = 0;
static int contexts = 0;
static bool lost = false;
static thread_local bool current = false;  // whether the context is this thread's
static thread_local int recordings = 0;    // of this thread

// A line at once, since the process may be killed.
static void report(const std::string& line) {
    const char* path = getenv("FAKE_REPORT");
    FILE* file = path ? fopen(path, "a") : stderr;
    if (file) fprintf(file, "fake card: %s\n", line.c_str());
    if (file && path) fclose(file);
}
static struct Faults {
    size_t count = 0;
    ~Faults() {
        size_t left = streams.size() + events.size() + graphs.size() + executables.size() + modules.size();
        left += memory.size() + pinned.size() + contexts;
        report(std::to_string(count) + " faults, " + std::to_string(left) + " things left");
    }
} faults;

EXPORTED void fake_fault(const char* what) {
    faults.count++;
    report(std::string("FAULT: ") + what);
}

static Result fault(Result result, const std::string& what) {
    fake_fault(what.c_str());
    return result;
}

// Begins a call that wants a context.
#define CALL(name)                                                                                                     \
    std::lock_guard lock(mutex);                                                                                       \
    if (!current || contexts == 0) return fault(INVALID_CONTEXT, name " without a context");                           \
    if (lost) return LOST
// And one that this thread must not make while it records.
#define UNRECORDED(name)                                                                                               \
    CALL(name);                                                                                                        \
    if (recordings) return fault(CAPTURE_UNSUPPORTED, name " while this thread records")

static Result add(Stream* stream, Work work) {
    if (!streams.count(stream)) return fault(INVALID_HANDLE, "work for a stream that is none");
    if (!stream->recording) {
        stream->queue.push_back(std::move(work));
        return SUCCESS;
    }
    if (stream->recorder != std::this_thread::get_id()) return fault(CAPTURE_WRONG_THREAD, "another thread records this stream");
    stream->recording->push_back(std::move(work));
    return SUCCESS;
}

// Does the work of a stream until something holds.
template <class Until> static void work(Stream* stream, Until until) {
    while (!stream->queue.empty() && !until()) {
        Work next = std::move(stream->queue.front());
        stream->queue.pop_front();
        next();
    }
}
static void finish(Stream* stream) { work(stream, [] { return false; }); }

EXPORTED bool fake_holds(uint64_t at, size_t bytes) {
    std::lock_guard lock(mutex);
    auto next = memory.upper_bound(at);
    if (next == memory.begin()) return false;
    auto& [begin, piece] = *--next;
    return at + bytes <= begin + piece.bytes && !piece.freed;
}
EXPORTED bool fake_has_context() { return current && contexts > 0; }
EXPORTED void fake_enqueue(Stream* stream, const Work& work) {
    std::lock_guard lock(mutex);
    add(stream, work);
}

// ---- the driver and its card

EXPORTED Result cuInit(unsigned) {
    if (size_t code = setting("FAKE_INIT", 0)) return Result(code);
    const char* visible = getenv("CUDA_VISIBLE_DEVICES");
    return visible && (!*visible || !strcmp(visible, "-1")) ? NO_DEVICE : SUCCESS;
}
EXPORTED Result cuDriverGetVersion(int* version) { return *version = int(setting("FAKE_VERSION", 13000)), SUCCESS; }
EXPORTED Result cuDeviceGetCount(int* count) {
    if (size_t code = setting("FAKE_COUNT", 0)) return Result(code);
    return *count = 1, SUCCESS;
}
EXPORTED Result cuDeviceGet(int* device, int number) { return *device = number, number == 0 ? SUCCESS : INVALID_DEVICE; }
EXPORTED Result cuDeviceGetName(char* name, int length, int) { return snprintf(name, size_t(length), "a fake card"), SUCCESS; }
EXPORTED Result cuDeviceGetAttribute(int* value, int attribute, int) {
    int capability = int(setting("FAKE_CAPABILITY", 90));
    switch (attribute) {
    case 16: *value = 4; break;                // multiprocessors
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    case 115: *value = int(setting("FAKE_POOLS", 1)); break;
    default: return fault(INVALID_VALUE, "an attribute that nobody asked for before: " + std::to_string(attribute));
    }
    return SUCCESS;
}
EXPORTED Result cuGetErrorName(Result, const char** name) { return *name = "an error of the fake card", SUCCESS; }
EXPORTED Result cuGetErrorString(Result, const char** text) { return *text = "an error of the fake card", SUCCESS; }

EXPORTED Result cuDevicePrimaryCtxRetain(void** context, int) {
    std::lock_guard lock(mutex);
    contexts++;
    return *context = &contexts, SUCCESS;
}
EXPORTED Result cuDevicePrimaryCtxRelease_v2(int) {
    std::lock_guard lock(mutex);
    contexts--;
    return SUCCESS;
}
EXPORTED Result cuCtxSetCurrent(void* context) { return current = context, SUCCESS; }

// ---- kernels

EXPORTED Result cuModuleLoadData(Module** module, const char* image) {
    UNRECORDED("cuModuleLoadData");
    *module = new Module{kernels_of(image)};
    modules.insert(*module);
    return SUCCESS;
}
EXPORTED Result cuModuleUnload(Module* module) {
    CALL("cuModuleUnload");
    for (auto stream : streams)
        if (!stream->queue.empty()) fake_fault("a module goes while work waits");
    if (!modules.erase(module)) return fault(INVALID_HANDLE, "unloads a module that is none");
    delete module;
    return SUCCESS;
}
EXPORTED Result cuModuleGetFunction(Function** function, Module* module, const char* name) {
    CALL("cuModuleGetFunction");
    auto found = module->kernels.find(name);
    if (found == module->kernels.end()) return NOT_FOUND; // it may lie in another module
    unsigned fixed = found->second.shared;
    functions.push_back({name, &found->second, module, USUAL_SHARED > fixed ? USUAL_SHARED - fixed : 0});
    return *function = &functions.back(), SUCCESS;
}
EXPORTED Result cuFuncSetAttribute(Function* function, int attribute, int value) {
    CALL("cuFuncSetAttribute");
    if (attribute != 8) return fault(INVALID_VALUE, "an attribute of a function that nobody set before");
    if (value + function->kernel->shared > MOST_SHARED)
        return fault(INVALID_VALUE, function->name + ": more shared memory than a block may have");
    function->most_shared = unsigned(value);
    return SUCCESS;
}

using Start = int (*)(const char*, const unsigned*, const unsigned*, unsigned, void**);
static struct Emulator {
    Start start = nullptr;
    const char* (*error)() = nullptr;
    Emulator() {
        const char* path = getenv("FAKE_KERNELS");
        void* object = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
        if (!object) return;
        start = Start(dlsym(object, "emulated_launch"));
        error = (const char* (*)())dlsym(object, "emulated_error");
    }
} emulator;

// Why no card takes a launch; nothing where it does.
static std::string refusal(const Function& function, const unsigned grid[3], const unsigned block[3], unsigned shared) {
    const Kernel& kernel = *function.kernel;
    unsigned threads = block[0] * block[1] * block[2];
    if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 0x7fffffff || grid[1] > 0xffff || grid[2] > 0xffff)
        return "a grid of no size or too large";
    if (!threads || threads > kernel.most_threads || block[2] > 64) return std::to_string(threads) + " threads a block";
    if (shared > function.most_shared)
        return std::to_string(shared) + " bytes of shared memory, " + std::to_string(function.most_shared) + " allowed";
    // Registers are given to warps in units of 256, to four warps at a time.
    unsigned warps = ((threads + 31) / 32 + 3) / 4 * 4;
    if ((kernel.registers * 32 + 255) / 256 * 256 * warps > REGISTERS) return "too many registers";
    return "";
}

EXPORTED Result cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                               unsigned shared, Stream* stream, void** parameters, void**) {
    CALL("cuLaunchKernel");
    if (!modules.count(function->module)) return fault(INVALID_HANDLE, function->name + " of a module that is gone");
    std::vector<unsigned> grid = {gx, gy, gz}, block = {bx, by, bz};
    if (auto why = refusal(*function, grid.data(), block.data(), shared); !why.empty())
        return fault(OUT_OF_RESOURCES, function->name + ": " + why);
    // Copied now, as a driver does.
    auto& sizes = function->kernel->parameters;
    std::vector<uint64_t> values(sizes.size());
    for (size_t i = 0; i < sizes.size(); i++) {
        if (sizes[i] > sizeof values[i]) return fault(INVALID_VALUE, function->name + ": a parameter of more than 8 bytes");
        memcpy(&values[i], parameters[i], sizes[i]);
    }
    return add(stream, [name = function->name, grid, block, shared, values]() mutable {
        std::vector<void*> arguments;
        for (auto& value : values) arguments.push_back(&value);
        if (!emulator.start) fake_fault("FAKE_KERNELS names no shared object of the kernels");
        else if (emulator.start(name.c_str(), grid.data(), block.data(), shared, arguments.data())) fake_fault(emulator.error());
    });
}

// ---- memory

EXPORTED Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    CALL("cuMemGetInfo");
    *total = setting("FAKE_MIB", 4096) << 20;
    return *free = *total - taken, SUCCESS;
}
static Result take(uint64_t* at, size_t bytes, bool ordered) {
    if (bytes == 0) return fault(INVALID_VALUE, "allocates nothing");
    if (taken + bytes > setting("FAKE_MIB", 4096) << 20) return OUT_OF_MEMORY;
    // What was there before is not zero.
    size_t whole = bytes + 3 * GUARD;
    auto piece = std::make_unique<char[]>(whole);
    memset(piece.get(), FILLED, whole);
    *at = (uint64_t(piece.get()) + 2 * GUARD - 1) / GUARD * GUARD;
    memory[*at] = {bytes, std::move(piece), ordered};
    taken += bytes;
    return SUCCESS;
}
static void give_back(uint64_t at) {
    size_t bytes = memory.at(at).bytes;
    const char* begin = reinterpret_cast<const char*>(at);
    for (size_t i = 1; i <= GUARD; i++)
        if (begin[-ptrdiff_t(i)] != FILLED || begin[bytes + i - 1] != FILLED) {
            fake_fault("a kernel wrote beside a piece of memory");
            break;
        }
    taken -= bytes;
    memory.erase(at);
}
// Marks a piece as freed, for a free of its own kind.
static Result release(uint64_t at, bool ordered) {
    auto found = memory.find(at);
    if (found == memory.end() || found->second.freed) return fault(INVALID_VALUE, "frees what is not there");
    if (found->second.ordered != ordered) return fault(INVALID_VALUE, "frees memory otherwise than it was taken");
    found->second.freed = true;
    return SUCCESS;
}
EXPORTED Result cuMemAlloc_v2(uint64_t* at, size_t bytes) {
    UNRECORDED("cuMemAlloc");
    return take(at, bytes, false);
}
EXPORTED Result cuMemFree_v2(uint64_t at) {
    UNRECORDED("cuMemFree");
    Result result = release(at, false);
    if (result == SUCCESS) give_back(at);
    return result;
}
// In the order of a stream: no other work may touch the memory before it is taken or after it is freed there.
EXPORTED Result cuMemAllocAsync(uint64_t* at, size_t bytes, Stream* stream) {
    UNRECORDED("cuMemAllocAsync");
    if (!streams.count(stream)) return fault(INVALID_HANDLE, "takes memory on a stream that is none");
    return take(at, bytes, true);
}
EXPORTED Result cuMemFreeAsync(uint64_t at, Stream* stream) {
    UNRECORDED("cuMemFreeAsync");
    Result result = release(at, true);
    return result == SUCCESS ? add(stream, [at] { give_back(at); }) : result;
}
static bool is_pinned(const char* at, size_t bytes) {
    auto next = pinned.upper_bound(at);
    return next != pinned.begin() && at + bytes <= (--next)->first + next->second;
}
EXPORTED Result cuMemHostAlloc(void** at, size_t bytes, unsigned) {
    UNRECORDED("cuMemHostAlloc");
    size_t all = bytes;
    for (auto& [_, length] : pinned) all += length;
    if (all > setting("FAKE_PINNED", 4096) << 20) return OUT_OF_MEMORY;
    *at = malloc(bytes);
    pinned[static_cast<const char*>(*at)] = bytes;
    return SUCCESS;
}
EXPORTED Result cuMemFreeHost(void* at) {
    UNRECORDED("cuMemFreeHost");
    if (!pinned.erase(static_cast<const char*>(at))) return fault(INVALID_VALUE, "frees pinned memory that is not there");
    free(at);
    return SUCCESS;
}
EXPORTED Result cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, Stream* stream) {
    CALL("cuMemsetD8Async");
    if (!fake_holds(at, bytes)) return fault(INVALID_VALUE, "fills what is not the card's");
    return add(stream, [=] { memset(reinterpret_cast<void*>(at), value, bytes); });
}
EXPORTED Result cuMemcpyHtoDAsync_v2(uint64_t to, const char* from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyHtoDAsync");
    if (!fake_holds(to, bytes)) return fault(INVALID_VALUE, "copies to what is not the card's");
    if (!is_pinned(from, bytes)) return fault(INVALID_VALUE, "copies from memory that is not pinned, and so waits");
    return add(stream, [=] { memcpy(reinterpret_cast<void*>(to), from, bytes); });
}
EXPORTED Result cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyDtoDAsync");
    if (!fake_holds(to, bytes) || !fake_holds(from, bytes)) return fault(INVALID_VALUE, "copies what is not the card's");
    return add(stream, [=] { memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes); });
}
EXPORTED Result cuMemcpyDtoHAsync_v2(char* to, uint64_t from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyDtoHAsync");
    if (!fake_holds(from, bytes)) return fault(INVALID_VALUE, "copies from what is not the card's");
    if (stream->recording) return fault(CAPTURE_UNSUPPORTED, "records a copy to memory that is gone later");
    // Into such memory a driver copies before it returns, and is awake until then.
    if (!is_pinned(to, bytes) && !stream->queue.empty()) return fault(INVALID_VALUE, "copies to memory that is not pinned, and so waits awake");
    return add(stream, [=] { memcpy(to, reinterpret_cast<const void*>(from), bytes); });
}

// ---- streams, graphs and events

EXPORTED Result cuStreamCreate(Stream** stream, unsigned flags) {
    UNRECORDED("cuStreamCreate");
    if (flags != 1) fake_fault("a stream that waits for others");
    *stream = new Stream;
    streams.insert(*stream);
    return SUCCESS;
}
EXPORTED Result cuStreamDestroy_v2(Stream* stream) {
    CALL("cuStreamDestroy");
    if (!streams.erase(stream)) return fault(INVALID_HANDLE, "destroys a stream that is none");
    delete stream;
    return SUCCESS;
}
EXPORTED Result cuStreamSynchronize(Stream* stream) {
    CALL("cuStreamSynchronize");
    if (!streams.count(stream)) return fault(INVALID_HANDLE, "waits for a stream that is none");
    if (stream->recording) return fault(CAPTURE_UNSUPPORTED, "waits for a stream that is recorded");
    finish(stream);
    return lost ? LOST : SUCCESS;
}
EXPORTED Result cuStreamBeginCapture_v2(Stream* stream, int) {
    CALL("cuStreamBeginCapture");
    if (stream->recording) return fault(CAPTURE_INVALIDATED, "records twice");
    stream->recording = std::make_unique<Graph>();
    stream->recorder = std::this_thread::get_id();
    recordings++;
    return SUCCESS;
}
EXPORTED Result cuStreamEndCapture(Stream* stream, Graph** graph) {
    CALL("cuStreamEndCapture");
    if (!stream->recording) return fault(CAPTURE_INVALIDATED, "ends what was not begun");
    recordings--;
    *graph = stream->recording.release();
    graphs.insert(*graph);
    return SUCCESS;
}
EXPORTED Result cuGraphInstantiateWithFlags(Graph** executable, Graph* graph, unsigned long long) {
    CALL("cuGraphInstantiate");
    if (getenv("FAKE_NO_GRAPHS")) return OUT_OF_MEMORY;
    *executable = new Graph(*graph);
    executables.insert(*executable);
    return SUCCESS;
}
EXPORTED Result cuGraphDestroy(Graph* graph) {
    CALL("cuGraphDestroy");
    if (!graphs.erase(graph)) return fault(INVALID_HANDLE, "destroys a graph that is none");
    delete graph;
    return SUCCESS;
}
EXPORTED Result cuGraphExecDestroy(Graph* executable) {
    CALL("cuGraphExecDestroy");
    if (!executables.erase(executable)) return fault(INVALID_HANDLE, "destroys an executable graph that is none");
    delete executable;
    return SUCCESS;
}
EXPORTED Result cuGraphLaunch(Graph* executable, Stream* stream) {
    CALL("cuGraphLaunch");
    if (!executables.count(executable)) return fault(INVALID_HANDLE, "starts a graph that is none");
    const char* omen = getenv("FAKE_LOST");
    if (++launched >= LOST_AFTER && omen && remove(omen) == 0) return lost = true, LOST;
    for (auto& work : *executable) add(stream, work);
    return SUCCESS;
}

EXPORTED Result cuEventCreate(Event** event, unsigned flags) {
    CALL("cuEventCreate");
    if (flags > 3) return fault(INVALID_VALUE, "an event of a kind that nobody made before");
    *event = new Event;
    events.insert(*event);
    return SUCCESS;
}
EXPORTED Result cuEventRecord(Event* event, Stream* stream) {
    CALL("cuEventRecord");
    if (stream->recording) return fault(CAPTURE_UNSUPPORTED, "records an event");
    event->recorded = true, event->done = false, event->stream = stream;
    return add(stream, [event] {
        if (!events.count(event)) return; // a driver keeps it until here
        using namespace std::chrono;
        event->done = true, event->at = duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
    });
}
EXPORTED Result cuEventSynchronize(Event* event) {
    CALL("cuEventSynchronize");
    if (!events.count(event)) return fault(INVALID_HANDLE, "waits for an event that is none");
    if (event->recorded) work(event->stream, [=] { return event->done; });
    return lost ? LOST : SUCCESS;
}
EXPORTED Result cuEventElapsedTime(float* milliseconds, Event* from, Event* to) {
    CALL("cuEventElapsedTime");
    if (!from->done || !to->done) return fault(NOT_READY, "the time between events that are not over");
    return *milliseconds = float(to->at - from->at), SUCCESS;
}
EXPORTED Result cuEventDestroy_v2(Event* event) {
    CALL("cuEventDestroy");
    if (!events.erase(event)) return fault(INVALID_HANDLE, "destroys an event that is none");
    delete event;
    return SUCCESS;
}
