//! How burn opens a device, and what must be there for it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::bench::Kind;
use crate::provenance::locked;
use crate::train::adapters;
use crate::trainer::{DeviceInfo, Missing};

/// A device ready for training.
pub struct Opened {
    /// burn's handle, with automatic differentiation.
    pub device: Device,
    /// What is recorded with every result.
    pub info: DeviceInfo,
}

impl Opened {
    /// What kind of device a benchmark measures.
    pub(super) fn measured_as(&self) -> Kind {
        match self.info.kind.as_str() {
            "cpu" => Kind::Cpu,
            _ if adapters::is_software(&self.info.name) => Kind::Software,
            _ => Kind::Gpu,
        }
    }
}

/// Opens a device that is not [`missing`]. On the CPU, `threads` holds for the whole process.
pub fn open(kind: &str, index: Option<usize>, threads: usize) -> Opened {
    let device = handle(kind, index);
    let on_cpu = kind == "cpu";
    if on_cpu {
        use_threads(threads);
    }
    let name = if on_cpu { processor() } else { adapter(&device) };
    #[cfg(feature = "wgpu")]
    if kind == "wgpu" && adapters::is_software(&name) {
        tell!("--device wgpu: {name} is no GPU but software on the CPU; the device cpu is faster");
    }
    let info = DeviceInfo {
        kind: kind.to_owned(),
        name,
        driver: driver(kind),
        threads: if on_cpu { threads } else { 1 },
        precision: "f32".to_owned(),
    };
    Opened { device: device.autodiff(), info }
}

/// The CPU, with whatever threads there are.
#[cfg(all(test, feature = "cpu"))]
pub fn testing() -> Opened {
    let info = DeviceInfo {
        kind: "cpu".to_owned(),
        name: processor(),
        driver: driver("cpu"),
        threads: 1,
        precision: "f32".to_owned(),
    };
    Opened { device: Device::flex().autodiff(), info }
}

/// What a device is that is not [`missing`].
pub fn description(kind: &str) -> String {
    #[cfg(feature = "wgpu")]
    if kind == "wgpu" && adapters::only_software() {
        return "Vulkan or OpenGL in software on the CPU (lavapipe, llvmpipe): no GPU shows itself".to_owned();
    }
    if kind == "cpu" { format!("{} ({})", processor(), driver(kind)) } else { driver(kind) }
}

/// burn's handle. Called only for a kind that is not [`missing`].
fn handle(kind: &str, index: Option<usize>) -> Device {
    match (kind, index) {
        #[cfg(feature = "cpu")]
        ("cpu", _) => Device::flex(),
        #[cfg(feature = "wgpu")]
        ("wgpu", None) => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "wgpu")]
        ("wgpu", Some(index)) => Device::wgpu(burn::tensor::DeviceKind::DiscreteGpu(index)),
        #[cfg(feature = "burn-cuda")]
        ("burn-cuda", index) => Device::cuda(index.unwrap_or(0)),
        (other, index) => unreachable!("{other} {index:?} was not checked"),
    }
}

/// Why a kind of device cannot be used, found out before burn is asked: a missing driver makes it panic in a thread of
/// its own.
pub fn missing(kind: &str) -> Option<Missing> {
    let (what, remedy) = match kind {
        "burn-cuda" if !Path::new(NVIDIA_DRIVER).exists() => {
            (format!("no NVIDIA driver ({NVIDIA_DRIVER} is missing)"), "install it, or choose another device")
        }
        "burn-cuda" if cfg!(target_os = "linux") && !has_libdevice(std::env::var_os("CUDA_PATH")) => {
            let places = TOOLKITS.join(", ");
            let what = format!("no CUDA toolkit: {LIBDEVICE} is needed, and is neither in CUDA_PATH nor in {places}");
            (what, "install it, or set CUDA_PATH to where it is")
        }
        "wgpu" if cfg!(target_os = "linux") && !has_vulkan_driver() => {
            ("no Vulkan driver (no *.json in vulkan/icd.d)".to_owned(), "install your GPU's, or mesa-vulkan-drivers")
        }
        _ => return None,
    };
    Some(Missing::Absent { what, remedy })
}

/// The kernel module's own statement of its version.
const NVIDIA_DRIVER: &str = "/proc/driver/nvidia/version";

/// Where burn looks for the CUDA toolkit unless `CUDA_PATH` is set, and the file of it that the kernels need: the
/// mathematical functions that a GPU has no instruction for.
const TOOLKITS: [&str; 4] = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"];
const LIBDEVICE: &str = "nvvm/libdevice/libdevice.10.bc";

/// Whether burn would find that file.
fn has_libdevice(cuda_path: Option<OsString>) -> bool {
    let roots = cuda_path.map_or_else(|| TOOLKITS.map(PathBuf::from).to_vec(), |path| vec![PathBuf::from(path)]);
    roots.iter().any(|root| root.join(LIBDEVICE).is_file())
}

/// Whether the Vulkan loader would find a driver's manifest.
fn has_vulkan_driver() -> bool {
    if std::env::var_os("VK_ICD_FILENAMES").or_else(|| std::env::var_os("VK_DRIVER_FILES")).is_some() {
        return true;
    }
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).any(|mut entries| entries.next().is_some())
}

/// Limits the process to `threads` threads, this one among them, so that a single thread never waits for another.
/// Losses do not depend on their number: no reduction is cut by it.
fn use_threads(threads: usize) {
    // The pool can be built once; a second call in one process keeps the first number, and only speed depends on it.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global();
}

/// Version of what drives the device.
fn driver(kind: &str) -> String {
    match kind {
        "burn-cuda" => std::fs::read_to_string(NVIDIA_DRIVER)
            .ok()
            .and_then(|text| text.lines().next().map(str::to_owned))
            .unwrap_or_else(|| "unknown driver".to_owned()),
        "wgpu" => "Vulkan".to_owned(),
        _ => {
            let version = locked("burn-flex").unwrap_or_else(|| "of unknown version".to_owned());
            format!("flex {version}, {}", instruction_set())
        }
    }
}

/// The widest vector instructions that the kernels will find.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    std::env::consts::ARCH
}

/// Model of the processor.
fn processor() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Name of the graphics adapter.
#[cfg(any(feature = "wgpu", feature = "burn-cuda"))]
fn adapter(device: &Device) -> String {
    device.identity().map_or_else(|| "unknown adapter".to_owned(), |identity| identity.name.to_string())
}

/// Without a GPU backend there is no adapter to ask.
#[cfg(not(any(feature = "wgpu", feature = "burn-cuda")))]
fn adapter(_: &Device) -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolkit_counts_where_its_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = || Some(folder.path().as_os_str().to_owned());
        assert!(!has_libdevice(path()));
        let file = folder.path().join(LIBDEVICE);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
        assert!(has_libdevice(path()));
    }
}
