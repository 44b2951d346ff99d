// What the fake library of products asks of the fake driver.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#define EXPORTED extern "C" __attribute__((visibility("default")))

struct Stream;

// Puts work into a stream, or into the graph that it records.
EXPORTED void fake_enqueue(Stream* stream, const std::function<void()>& work);
// Whether so many bytes lie within one piece of the card's memory.
EXPORTED bool fake_holds(uint64_t at, size_t bytes);
// Whether this thread has a context.
EXPORTED bool fake_has_context();
// Notes what no card and no driver would take.
EXPORTED void fake_fault(const char* what);
