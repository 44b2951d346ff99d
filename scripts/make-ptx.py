"""Compiles a CUDA source with NVRTC, which needs no card and no toolkit.

usage: make-ptx.py PACKAGES SOURCE ARCHITECTURE OUT    PACKAGES is where pip put nvidia-cuda-nvrtc-cu12

ARCHITECTURE compute_80 makes PTX, sm_90 the machine code of such cards.
"""

import ctypes
import glob
import sys


def main():
    packages, source, architecture, out = sys.argv[1:]
    (library,) = glob.glob(f"{packages}/nvidia/cuda_nvrtc/lib/libnvrtc.so.*")
    nvrtc = ctypes.CDLL(library)
    program = ctypes.c_void_p()
    with open(source, "rb") as file:
        text = file.read()
    folder = source.rsplit("/", 1)[0]
    # -default-device is not given: what runs on a card says so. Contraction to fused multiply-adds is CUDA's default.
    options = [f"--gpu-architecture={architecture}", "--std=c++17", f"-I{folder}"]
    values = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None), "create")
    failed = nvrtc.nvrtcCompileProgram(program, len(options), values)
    log = take(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode()
    if log.strip("\0 \n"):
        print(log, file=sys.stderr)
    check(failed, "compile")
    if architecture.startswith("sm_"):
        made = take(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    else:
        made = take(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program).rstrip(b"\0")
    with open(out, "wb") as file:
        file.write(made)


def take(size, get, program):
    length = ctypes.c_size_t()
    check(size(program, ctypes.byref(length)), "size")
    text = ctypes.create_string_buffer(length.value)
    check(get(program, text), "text")
    return text.raw


def check(status, what):
    if status != 0:
        sys.exit(f"NVRTC could not {what}: error {status}")


if __name__ == "__main__":
    main()
