// What a driver knows of the kernels in an image that it loads: PTX, or machine code in an ELF file.
#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Kernel {
    std::vector<size_t> parameters; // bytes of each
    unsigned most_threads = 1024;   // of a block
    unsigned registers = 0;         // of a thread; PTX does not say
    unsigned shared = 0;            // bytes of a block that the launch does not decide
};

using Kernels = std::map<std::string, Kernel>;

// `.param .u64 name,` or `.param .align 8 .b8 name[24],`, and likewise `.shared`.
inline size_t bytes_declared(const std::string& line) {
    static const std::map<std::string, size_t> sizes = {{".b8", 1},  {".u32", 4}, {".b32", 4}, {".f32", 4},
                                                        {".u64", 8}, {".b64", 8}, {".f64", 8}};
    std::istringstream words(line);
    for (std::string word; words >> word;)
        if (auto found = sizes.find(word); found != sizes.end()) {
            auto bracket = line.find('[');
            return found->second * (bracket == std::string::npos ? 1 : std::stoul(line.substr(bracket + 1)));
        }
    throw std::runtime_error("a declaration of no known type: " + line);
}

inline Kernels kernels_of_ptx(const char* text) {
    Kernels kernels;
    Kernel* kernel = nullptr;
    bool in_body = false;
    std::map<std::string, size_t> of_all, unseen; // shared memory that is declared outside belongs to the kernels that name it
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        auto behind = [&](const char* what) {
            auto at = line.find(what);
            return at == std::string::npos ? "" : line.substr(at + strlen(what));
        };
        // `.shared .align 4 .b8 name[128];`; the launch decides those of no size.
        bool shares = line.find(".shared .align") < 2 && line.find("[]") == std::string::npos;
        if (auto name = behind(".entry "); !name.empty()) {
            kernel = &kernels[name.substr(0, name.find('('))];
            unseen = of_all;
        } else if (line == "{") {
            in_body = true;
        } else if (line == "}") {
            in_body = false, kernel = nullptr;
        } else if (!kernel && shares) {
            auto name = behind(".b8 ");
            of_all[name.substr(0, name.find('['))] = bytes_declared(line);
        } else if (kernel && in_body) {
            if (shares) kernel->shared += bytes_declared(line);
            std::erase_if(unseen, [&](auto& declared) {
                bool named = !behind(declared.first.c_str()).empty();
                if (named) kernel->shared += declared.second;
                return named;
            });
        } else if (kernel && !behind(".param ").empty()) {
            kernel->parameters.push_back(bytes_declared(line));
        } else if (auto most = behind(".maxntid "); kernel && !most.empty()) {
            kernel->most_threads = unsigned(std::stoul(most));
        }
    }
    return kernels;
}

// What the system has of each block's shared memory, which counts for neither of its limits.
static const unsigned OF_THE_SYSTEM = 1024;

// The sections of 64-bit ELF, and in those named `.nv.info` the attributes that ptxas writes of each kernel.
class Elf {
    struct Header {
        unsigned char ident[16];
        uint16_t kind, machine;
        uint32_t version;
        uint64_t entry, programs, sections; // where they begin
        uint32_t flags;
        uint16_t size, program_size, program_count, section_size, section_count, names;
    };
    struct Section {
        uint32_t name, kind;
        uint64_t flags, address, offset, size;
        uint32_t link, info;
        uint64_t alignment, entry_size;
    };
    struct Symbol {
        uint32_t name;
        uint8_t info, other;
        uint16_t section;
        uint64_t value, size;
    };

    const char* image;
    const Header& header = *reinterpret_cast<const Header*>(image);
    const Section* sections = reinterpret_cast<const Section*>(image + header.sections);

    const char* name(const Section& section) const { return image + sections[header.names].offset + section.name; }

    // Name of a symbol by its number.
    std::string symbol(uint32_t number) const {
        for (int s = 0; s < header.section_count; s++)
            if (sections[s].kind == 2) {
                auto& found = reinterpret_cast<const Symbol*>(image + sections[s].offset)[number];
                return image + sections[sections[s].link].offset + found.name;
            }
        return "";
    }

    // Attributes: a format, a number, and two bytes that are the value, or its length where the format is 4.
    template <class See> void attributes(const Section& section, See see) const {
        for (uint64_t at = 0; at + 4 <= section.size;) {
            const char* begin = image + section.offset + at;
            uint16_t length;
            memcpy(&length, begin + 2, 2);
            std::vector<uint32_t> values;
            if (begin[0] == 4) values.resize(length / 4), memcpy(values.data(), begin + 4, length / 4 * 4), at += length;
            see(begin[1], values);
            at += 4;
        }
    }

  public:
    explicit Elf(const char* image) : image(image) {}

    Kernels kernels() const {
        Kernels kernels;
        std::map<std::string, unsigned> registers;
        for (int s = 0; s < header.section_count; s++) {
            std::string section = name(sections[s]);
            if (section == ".nv.info")
                attributes(sections[s], [&](int attribute, auto& values) {
                    if (attribute == 0x2f) registers[symbol(values.at(0))] = values.at(1);
                });
            else if (section.starts_with(".nv.shared."))
                kernels[section.substr(11)].shared = sections[s].size - OF_THE_SYSTEM;
            else if (section.starts_with(".nv.info.")) {
                auto& kernel = kernels[section.substr(9)];
                attributes(sections[s], [&](int attribute, auto& values) {
                    if (attribute == 0x05) kernel.most_threads = values.at(0) * values.at(1) * values.at(2);
                    if (attribute != 0x17) return;
                    // Index; number and place in one word; the size in the upper bits of the last.
                    size_t number = values.at(1) & 0xffff;
                    if (kernel.parameters.size() <= number) kernel.parameters.resize(number + 1);
                    kernel.parameters[number] = values.at(2) >> 18;
                });
            }
        }
        for (auto& [name, count] : registers)
            if (kernels.count(name)) kernels[name].registers = count;
        return kernels;
    }
};

inline Kernels kernels_of(const char* image) {
    return memcmp(image, "\177ELF", 4) == 0 ? Elf(image).kernels() : kernels_of_ptx(image);
}
