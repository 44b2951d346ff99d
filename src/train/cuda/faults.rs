//! What the driver's errors mean, in words, and what they are to the sweep: too little memory, or a device that failed.

use crate::trainer::TrainError;

/// Number, name and meaning of an error of the driver; where there is something to do, what.
const KNOWN: [(u32, &str, &str); 50] = [
    (1, "CUDA_ERROR_INVALID_VALUE", "the driver does not take a number that it was given"),
    (2, "CUDA_ERROR_OUT_OF_MEMORY", "the card has no room left"),
    (3, "CUDA_ERROR_NOT_INITIALIZED", "the driver has not started"),
    (4, "CUDA_ERROR_DEINITIALIZED", "the driver is ending, with this process"),
    (34, "CUDA_ERROR_STUB_LIBRARY", "a stub of the driver was loaded; take the stubs folder out of LD_LIBRARY_PATH"),
    (36, "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER", "the driver is too old; install 550 or newer"),
    (
        46,
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "another process holds the card for itself alone; see `nvidia-smi`, or allow more with `nvidia-smi -c DEFAULT`",
    ),
    (
        100,
        "CUDA_ERROR_NO_DEVICE",
        "the driver sees no card; see `nvidia-smi -L`, CUDA_VISIBLE_DEVICES, and that a container was given one",
    ),
    (101, "CUDA_ERROR_INVALID_DEVICE", "there is no card of this number"),
    (102, "CUDA_ERROR_DEVICE_NOT_LICENSED", "the virtual card has no licence; see `nvidia-smi -q`"),
    (200, "CUDA_ERROR_INVALID_IMAGE", "the driver cannot read the kernels"),
    (201, "CUDA_ERROR_INVALID_CONTEXT", "the card is not open on this thread"),
    (209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "the kernels do not fit this card"),
    (
        214,
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "the card's memory has an error that cannot be mended; reset the card (`nvidia-smi -r`) or take another",
    ),
    (218, "CUDA_ERROR_INVALID_PTX", "the driver cannot translate the kernels"),
    (220, "CUDA_ERROR_NVLINK_UNCORRECTABLE", "the link between cards has failed"),
    (221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "libnvidia-ptxjitcompiler of the driver is missing"),
    (222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the driver is too old for the kernels; install 550 or newer"),
    (
        223,
        "CUDA_ERROR_JIT_COMPILATION_DISABLED",
        "the driver may not translate the kernels; unset CUDA_DISABLE_PTX_JIT",
    ),
    (226, "CUDA_ERROR_CONTAINED", "the card's memory had an error, and the driver has ended what used it"),
    (
        302,
        "CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND",
        "a part of the driver is missing, or of another version; install it again",
    ),
    (303, "CUDA_ERROR_SHARED_OBJECT_INIT_FAILED", "a part of the driver does not start; install it again"),
    (
        304,
        "CUDA_ERROR_OPERATING_SYSTEM",
        "the system refused what the driver asked for; see the rights of /dev/nvidia*",
    ),
    (400, "CUDA_ERROR_INVALID_HANDLE", "the driver does not know what it was given"),
    (500, "CUDA_ERROR_NOT_FOUND", "a kernel or a function of the driver is missing"),
    (700, "CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel left its memory"),
    (701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a block of a kernel needs more than the card has"),
    (702, "CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel took too long for a card that also draws a screen"),
    (709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "the card was closed while it was used"),
    (714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "the card failed"),
    (715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "the card failed"),
    (716, "CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel read across a boundary"),
    (717, "CUDA_ERROR_INVALID_ADDRESS_SPACE", "a kernel left its memory"),
    (718, "CUDA_ERROR_INVALID_PC", "the card failed"),
    (719, "CUDA_ERROR_LAUNCH_FAILED", "a kernel failed"),
    (800, "CUDA_ERROR_NOT_PERMITTED", "this is not allowed here; see the rights of /dev/nvidia*"),
    (801, "CUDA_ERROR_NOT_SUPPORTED", "the card or its driver cannot do this"),
    (
        802,
        "CUDA_ERROR_SYSTEM_NOT_READY",
        "the machine's cards are not ready yet; machines with NVSwitch need the fabric manager: `systemctl start nvidia-fabricmanager`, of the driver's version",
    ),
    (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "driver and kernel module differ; restart the machine after an update"),
    (
        804,
        "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "a container's libcuda is newer than the machine's driver, which only data-center cards allow; take /usr/local/cuda/compat out of LD_LIBRARY_PATH, or install a newer driver",
    ),
    (
        805,
        "CUDA_ERROR_MPS_CONNECTION_FAILED",
        "no connection to MPS; start nvidia-cuda-mps-control, or unset CUDA_MPS_PIPE_DIRECTORY",
    ),
    (806, "CUDA_ERROR_MPS_RPC_FAILURE", "MPS does not answer; start it again"),
    (807, "CUDA_ERROR_MPS_SERVER_NOT_READY", "MPS is not ready yet; try again, or start it again"),
    (808, "CUDA_ERROR_MPS_MAX_CLIENTS_REACHED", "MPS has as many clients as it takes; use fewer processes"),
    (809, "CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED", "MPS has as many connections as it takes; use fewer processes"),
    (810, "CUDA_ERROR_MPS_CLIENT_TERMINATED", "MPS has ended this process's work"),
    (900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "a step cannot be recorded as a graph"),
    (901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "the recording of a step was disturbed"),
    (919, "CUDA_ERROR_FABRIC_NOT_READY", "the links between the cards are not ready; see nvidia-fabricmanager"),
    (999, "CUDA_ERROR_UNKNOWN", "the card was lost, or its driver failed; `nvidia-smi` and `dmesg` may say more"),
];

/// The number of an error that is a lack of room.
pub const FULL: u32 = 2;

/// An error of the driver: its name and what it means.
pub fn words(code: u32) -> String {
    match KNOWN.iter().find(|(number, ..)| *number == code) {
        Some((_, name, meaning)) => format!("{meaning} ({name})"),
        None => format!("error {code} of the CUDA driver"),
    }
}

/// The error while doing `what`, in its class: with less memory a run may be tried again in smaller parts.
pub fn failed(what: &str, code: u32) -> TrainError {
    let message = format!("{what}: {}", words(code));
    if code == FULL { TrainError::OutOfMemory(message) } else { TrainError::Device(message) }
}

/// The error while asking for memory of this machine that the card reads.
pub fn of_host(what: &str, code: u32) -> TrainError {
    if code != FULL {
        return failed(what, code);
    }
    let why = "this machine, not the card, has none left that can be pinned (CUDA_ERROR_OUT_OF_MEMORY)";
    TrainError::OutOfMemory(format!("{what}: {why}; see its free memory and the limit of a container"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_name_and_meaning_and_only_a_lack_of_room_is_one_of_memory() {
        let full = failed("cannot take 12 GB", 2);
        assert!(matches!(full, TrainError::OutOfMemory(_)), "{full}");
        for (code, name, _) in KNOWN.into_iter().filter(|(code, ..)| *code != 2) {
            let error = failed("a step", code);
            assert!(matches!(error, TrainError::Device(_)) && error.to_string().contains(name), "{error}");
        }
        let host = of_host("a copy", FULL);
        assert!(matches!(host, TrainError::OutOfMemory(_)) && host.to_string().contains("not the card"), "{host}");
        assert_eq!(of_host("a copy", 999).to_string(), failed("a copy", 999).to_string());
        for (code, remedy) in [(802, "nvidia-fabricmanager"), (804, "LD_LIBRARY_PATH"), (46, "nvidia-smi -c DEFAULT")] {
            assert!(words(code).contains(remedy), "{}", words(code));
        }
        assert!(KNOWN.is_sorted_by_key(|(code, ..)| code), "each once, in their order");
        assert_eq!(failed("a step", 12345).to_string(), "the device failed: a step: error 12345 of the CUDA driver");
    }
}
