// The kernels as a shared object for tests:
//
//   c++ -std=c++20 -O2 -shared -fPIC -Wl,-Bsymbolic -DON_CPU -o emulated.so src/train/cuda/kernels/emulator/emulated.cpp
//
// -Bsymbolic, since a kernel may be called as a function of the C library is (advance).
#include "../all.cu"

// Starts a kernel as the driver does: `arguments` are the addresses of its parameters. 0 is success, 1 a launch that no card
// takes, 2 a fault of the kernel.
extern "C" int emulated_launch(const char* kernel, const unsigned grid[3], const unsigned block[3], unsigned shared,
                               void** arguments) {
    return cpu::launch(kernel, grid, block, shared, arguments);
}

// What was wrong with the last launch of this host thread.
extern "C" const char* emulated_error() { return cpu::machine().error.c_str(); }
