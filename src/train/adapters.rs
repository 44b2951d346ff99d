//! Which adapters of wgpu are no GPUs: programs that compute on the CPU what a GPU would. They are told by their names, and
//! before they are opened by what Linux shows of GPUs.

use std::path::{Path, PathBuf};

/// Parts of the names of adapters, and of the manifests of drivers, that are software.
const SOFTWARE: [&str; 7] =
    ["llvmpipe", "lavapipe", "lvp_icd", "softpipe", "swiftshader", "vk_swiftshader_icd", "basic render driver"];

/// What a GPU shows itself by: the kernel's devices for rendering, NVIDIA's, and that of Windows' subsystem for Linux.
const GPUS: [&str; 3] = ["/dev/dri/renderD*", "/dev/nvidiactl", "/dev/dxg"];

/// Whether an adapter or a driver of this name computes on the CPU.
pub fn is_software(name: &str) -> bool {
    let name = name.to_lowercase();
    SOFTWARE.iter().any(|part| name.contains(part))
}

/// Whether wgpu can only find software here: no GPU shows itself, or every driver that Vulkan is told to use is software.
/// Elsewhere than on Linux nothing is known, and a GPU is expected.
pub fn only_software() -> bool {
    let gpus = GPUS.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().flatten().count();
    let told = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find_map(std::env::var_os);
    let told: Vec<PathBuf> = told.iter().flat_map(std::env::split_paths).collect();
    cfg!(target_os = "linux") && is_only_software(gpus, &told)
}

fn is_only_software(gpus: usize, told: &[PathBuf]) -> bool {
    let software =
        |path: &PathBuf| path.file_name().map(Path::new).is_some_and(|name| is_software(&name.to_string_lossy()));
    gpus == 0 || !told.is_empty() && told.iter().all(software)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_is_known_by_its_name() {
        for name in [
            "llvmpipe (LLVM 19.1.7, 256 bits)",
            "SwiftShader Device (Subzero)",
            "Microsoft Basic Render Driver",
            "lvp_icd.x86_64.json",
        ] {
            assert!(is_software(name), "{name}");
        }
        for name in ["NVIDIA H200", "AMD Radeon RX 7900 XTX (RADV NAVI31)", "Apple M3", "Intel(R) Arc(tm) A770", ""] {
            assert!(!is_software(name), "{name}");
        }
    }

    #[test]
    fn without_a_gpu_or_told_to_use_software_only_there_is_nothing_else() {
        let paths = |names: &[&str]| names.iter().map(|name| Path::new("/usr/share/vulkan/icd.d").join(name)).collect();
        let (lavapipe, both): (Vec<PathBuf>, Vec<PathBuf>) =
            (paths(&["lvp_icd.x86_64.json"]), paths(&["lvp_icd.x86_64.json", "radeon_icd.x86_64.json"]));
        assert!(is_only_software(0, &[]) && is_only_software(0, &both) && is_only_software(1, &lavapipe));
        assert!(!is_only_software(1, &[]) && !is_only_software(1, &both));
    }
}
