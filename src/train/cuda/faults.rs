//! What the driver's errors mean, in words, and what they are to the sweep: too little memory, or a device that failed.

use crate::trainer::TrainError;

/// Number, name and meaning of an error of the driver.
const KNOWN: [(u32, &str, &str); 29] = [
    (1, "CUDA_ERROR_INVALID_VALUE", "the driver does not take a number that it was given"),
    (2, "CUDA_ERROR_OUT_OF_MEMORY", "the card has no room left"),
    (3, "CUDA_ERROR_NOT_INITIALIZED", "the driver has not started"),
    (34, "CUDA_ERROR_STUB_LIBRARY", "a stub of the driver was loaded; take the stubs folder out of LD_LIBRARY_PATH"),
    (36, "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER", "the driver is too old; install 550 or newer"),
    (46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "another process holds the card for itself alone"),
    (100, "CUDA_ERROR_NO_DEVICE", "the driver sees no card"),
    (101, "CUDA_ERROR_INVALID_DEVICE", "there is no card of this number"),
    (200, "CUDA_ERROR_INVALID_IMAGE", "the driver cannot read the kernels"),
    (201, "CUDA_ERROR_INVALID_CONTEXT", "the card is not open on this thread"),
    (209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "the kernels do not fit this card"),
    (214, "CUDA_ERROR_ECC_UNCORRECTABLE", "the card's memory has an error that cannot be mended"),
    (218, "CUDA_ERROR_INVALID_PTX", "the driver cannot translate the kernels"),
    (220, "CUDA_ERROR_NVLINK_UNCORRECTABLE", "the link between cards has failed"),
    (221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "libnvidia-ptxjitcompiler of the driver is missing"),
    (222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the driver is too old for the kernels; install 550 or newer"),
    (304, "CUDA_ERROR_OPERATING_SYSTEM", "the system refused what the driver asked for"),
    (500, "CUDA_ERROR_NOT_FOUND", "a kernel or a function of the driver is missing"),
    (700, "CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel left its memory"),
    (701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a block of a kernel needs more than the card has"),
    (702, "CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel took too long for a card that also draws a screen"),
    (714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "the card failed"),
    (715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "the card failed"),
    (716, "CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel read across a boundary"),
    (719, "CUDA_ERROR_LAUNCH_FAILED", "a kernel failed"),
    (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "driver and kernel module differ; restart the machine after an update"),
    (900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "a step cannot be recorded as a graph"),
    (901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "the recording of a step was disturbed"),
    (999, "CUDA_ERROR_UNKNOWN", "the card was lost, or its driver failed"),
];

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
    if code == 2 { TrainError::OutOfMemory(message) } else { TrainError::Device(message) }
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
        assert_eq!(failed("a step", 12345).to_string(), "the device failed: a step: error 12345 of the CUDA driver");
    }
}
