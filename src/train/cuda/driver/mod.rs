//! A real card, through NVIDIA's driver, which cudarc loads when the first card is asked for. Nothing else of NVIDIA's is
//! needed; the library of products is used where it is found.

// Every call of the driver is unsafe: it takes handles and addresses on trust. Each says why they can be trusted.
#![allow(unsafe_code)]

mod failure;
mod library;
mod shared;
mod staging;

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use cudarc::driver::{DriverError, result, sys};

use self::failure::failed;
use self::library::Library;
use self::shared::Shared;
use self::staging::Staging;
use super::faults;
use super::gpu::{Address, Card, Gpu, LIBRARY_PRODUCT, Launch, Memory, Product, Recording, Taken};
use crate::trainer::{Missing, TrainError};

/// CUDA 12.4: what drivers from 550 (early 2024) speak, and what the kernels are translated to.
const OLDEST_DRIVER: i32 = 12_040;

/// Ampere: the first cards with bf16 products and asynchronous copies.
const OLDEST_CARD: u32 = 80;

/// All cards that the driver shows, or why there are none that can be used.
pub fn cards() -> Result<Vec<Card>, Missing> {
    let absent = |what: String, remedy| Missing::Absent { what, remedy };
    // SAFETY: loads the driver's library by its usual names, as every program for CUDA does.
    if !unsafe { sys::is_culib_present() } {
        let what = "no NVIDIA driver (libcuda.so.1 cannot be loaded)".to_owned();
        return Err(absent(what, "install it, or choose another device"));
    }
    if let Err(error) = result::init() {
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        return Err(match (error.0, visible) {
            (sys::CUresult::CUDA_ERROR_NO_DEVICE | sys::CUresult::CUDA_ERROR_INVALID_DEVICE, Some(cards)) => absent(
                format!("CUDA_VISIBLE_DEVICES={cards:?} hides every card"),
                "unset it, or write numbers of cards into it, each once; nvidia-smi -L lists them, whatever it says",
            ),
            (error, _) => absent(
                format!("the NVIDIA driver does not start: {}", faults::words(error as u32)),
                "see whether nvidia-smi runs, or choose another device",
            ),
        });
    }
    let version = version();
    if version < OLDEST_DRIVER {
        let what = format!("the NVIDIA driver is too old: it knows CUDA {}", cuda(version));
        return Err(absent(what, "install driver 550 or newer, which knows CUDA 12.4"));
    }
    let count = result::device::get_count().unwrap_or(0);
    // One that does not answer keeps its number, and is too old.
    let unknown = |error| Card { name: format!("{error:?}"), driver: String::new(), capability: 0, multiprocessors: 0 };
    let cards: Vec<Card> = (0..count).map(|index| card(index).unwrap_or_else(unknown)).collect();
    if cards.iter().any(|card| card.capability >= OLDEST_CARD) {
        return Ok(cards);
    }
    let seen: Vec<&str> = cards.iter().map(|card| card.name.as_str()).collect();
    let what = format!("no card from Ampere on (compute capability 8.0; seen: {})", seen.join(", "));
    Err(absent(what, "choose another device"))
}

/// The highest version of CUDA that the driver knows, as 12040 for 12.4.
fn version() -> i32 {
    let mut version: c_int = 0;
    // SAFETY: writes one number to where it is told.
    let _ = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    version
}

fn cuda(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// What is known of a card by its number.
fn card(index: i32) -> Result<Card, DriverError> {
    use sys::CUdevice_attribute_enum as Attribute;
    let device = result::device::get(index)?;
    // SAFETY: the device comes from the driver.
    let attribute = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let multiprocessors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    Ok(Card {
        name: result::device::get_name(device)?,
        driver: driver(),
        capability: (10 * major + minor).unsigned_abs(),
        multiprocessors: multiprocessors.unsigned_abs(),
    })
}

/// Version of the driver, as its kernel module tells it, and of the CUDA that it knows.
fn driver() -> String {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let module =
        text.split_whitespace().find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()));
    module.map_or_else(|| format!("CUDA {}", cuda(version())), |module| format!("{module}, CUDA {}", cuda(version())))
}

/// One stream of a card. Several in one process, each on a thread of its own, share the card.
pub struct Driver {
    card: Card,
    stream: sys::CUstream,
    staging: RefCell<Staging>,
    /// Whether memory is taken and freed in the order of the stream, as all but some virtual cards do. Otherwise a free waits for
    /// every stream of the card, and so for all runs that are trained beside this one.
    ordered: bool,
    /// What was done since its timing was asked for, with what marks its end.
    timing: RefCell<Option<Vec<(&'static str, Mark)>>>,
    library: Option<Library>,
    /// Last, so that it goes after all that lives in it.
    shared: Arc<Shared>,
}

impl Driver {
    /// Opens a card by its number.
    pub fn open(index: usize) -> Result<Self, TrainError> {
        let cards = cards().map_err(|missing| TrainError::Configuration(format!("--device cuda: {missing}")))?;
        let Some(card) = cards.get(index).cloned() else {
            let count = cards.len();
            let highest = count - 1;
            let message = format!("--device cuda:{index}: there are {count} cards; give a number up to {highest}");
            return Err(TrainError::Configuration(message));
        };
        if card.capability < OLDEST_CARD {
            let message = format!("--device cuda:{index}: {} is older than Ampere (compute capability 8.0)", card.name);
            return Err(TrainError::Configuration(message));
        }
        let what = format!("cannot open {}", card.name);
        let failed = failed(&what);
        let index = i32::try_from(index).expect("a number of a card");
        let shared = Shared::open(index, card.capability, &what)?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(&failed)?;
        let staging = RefCell::new(Staging::new(stream)?);
        let pools = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
        // SAFETY: the device comes from the driver.
        let pools =
            result::device::get(index).and_then(|device| unsafe { result::device::get_attribute(device, pools) });
        let ordered = pools.is_ok_and(|pools| pools == 1);
        let library = Library::find();
        Ok(Self { card, stream, staging, ordered, timing: RefCell::default(), library, shared })
    }
}

impl Driver {
    /// Marks the end of a kernel, while times are asked for.
    fn mark(&self, kernel: &'static str) -> Result<(), TrainError> {
        if let Some(marks) = self.timing.borrow_mut().as_mut() {
            marks.push((kernel, Mark::here(self.stream)?));
        }
        Ok(())
    }
}

impl Gpu for Driver {
    fn card(&self) -> &Card {
        &self.card
    }

    fn memory(&self) -> Result<Memory, TrainError> {
        let (free, total) = result::mem_get_info().map_err(failed("cannot ask for free memory"))?;
        Ok(Memory { free, total })
    }

    fn allocate(&self, bytes: usize) -> Result<Address, TrainError> {
        let what = || {
            let free = self.memory().map_or_else(|_| "?".to_owned(), |memory| (memory.free >> 20).to_string());
            format!("cannot take {} MiB of {} ({free} MiB are free)", bytes.div_ceil(1 << 20), self.card.name)
        };
        let least = bytes.max(1);
        // SAFETY: nobody reads the memory before the zeros are there: all work is on this stream.
        let taken =
            unsafe { if self.ordered { result::malloc_async(self.stream, least) } else { result::malloc_sync(least) } };
        let at = taken.map_err(|error| faults::failed(&what(), error.0 as u32))?;
        self.zero(at, bytes)?;
        Ok(at)
    }

    fn free(&self, at: Address) {
        // SAFETY: the address is one that `allocate` gave, and the work that uses it comes before on the stream, or is waited
        // for: the driver does not promise to. An error means that the card is lost, and its memory with it.
        let _ = unsafe {
            if self.ordered {
                result::free_async(at, self.stream)
            } else {
                result::stream::synchronize(self.stream).and_then(|()| result::free_sync(at))
            }
        };
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<(), TrainError> {
        self.staging.borrow_mut().upload(to, bytes).map_err(failed("copying to the card"))
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), TrainError> {
        // SAFETY: the bytes stay borrowed until the copy is done.
        let copied = unsafe {
            result::memcpy_dtoh_async(bytes, from, self.stream).and_then(|()| result::stream::synchronize(self.stream))
        };
        copied.map_err(failed("copying from the card"))
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<(), TrainError> {
        // SAFETY: the memory was taken by `allocate`, whose users know its length.
        unsafe { result::memset_d8_async(at, 0, bytes, self.stream) }.map_err(failed("writing zeros"))
    }

    fn launch(&self, launch: &Launch) -> Result<(), TrainError> {
        let Launch { kernel, grid, block, shared, arguments } = launch;
        let function = self.shared.function(kernel, *shared)?;
        let mut pointers: Vec<*mut c_void> =
            arguments.iter().map(|argument| argument.pointer().cast_mut().cast()).collect();
        let extent = |[x, y, z]: [u32; 3]| (x, y, z);
        // SAFETY: `step` gives each kernel the arguments that its source declares, with memory of the sizes that `layout`
        // gives them; the driver copies the arguments before it returns.
        let started = unsafe {
            result::launch_kernel(function, extent(*grid), extent(*block), *shared, self.stream, &mut pointers)
        };
        started.map_err(failed(&format!("kernel {kernel}")))?;
        self.mark(kernel)
    }

    fn product(&self, product: &Product) -> Result<bool, TrainError> {
        let Some(library) = &self.library else { return Ok(false) };
        let done = library.product(product, self.stream)?;
        if done {
            self.mark(LIBRARY_PRODUCT)?;
        }
        Ok(done)
    }

    fn time(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Vec<Taken>, TrainError> {
        let mut before = Mark::here(self.stream)?;
        *self.timing.borrow_mut() = Some(Vec::new());
        let worked = work();
        let marks = self.timing.borrow_mut().take().unwrap_or_default();
        worked?;
        self.synchronize()?;
        let mut taken = Vec::with_capacity(marks.len());
        for (kernel, mark) in marks {
            taken.push(Taken { kernel, seconds: mark.since(&before)? });
            before = mark;
        }
        Ok(taken)
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Box<dyn Recording>, TrainError> {
        let failed = failed("recording a step");
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is this one's; what begins is ended below whatever happens.
        unsafe { result::stream::begin_capture(self.stream, mode) }.map_err(&failed)?;
        let worked = work();
        // SAFETY: as above.
        let graph = unsafe { result::stream::end_capture(self.stream) };
        worked?;
        let graph = graph.map_err(&failed)?;
        // SAFETY: the graph was just recorded, and is not used again once it is instantiated.
        let executable = unsafe {
            let executable = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
            let _ = result::graph::destroy(graph);
            executable
        };
        Ok(Box::new(Recorded { executable: executable.map_err(&failed)?, stream: self.stream }))
    }

    fn synchronize(&self) -> Result<(), TrainError> {
        // SAFETY: the stream is this one's.
        unsafe { result::stream::synchronize(self.stream) }.map_err(failed("waiting for the card"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: nothing of this is used any more, and graphs live no longer than their sessions, which borrow this. Errors
        // mean that the card is lost.
        unsafe {
            let _ = result::stream::synchronize(self.stream);
            let _ = result::stream::destroy(self.stream);
        }
    }
}

/// A moment in the work of a stream.
struct Mark(sys::CUevent);

impl Mark {
    /// When all work so far is done.
    fn here(stream: sys::CUstream) -> Result<Self, TrainError> {
        // SAFETY: the context is current, and the event is recorded on a stream of it.
        unsafe {
            let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(failed("an event"))?;
            let mark = Self(event);
            result::event::record(event, stream).map_err(failed("an event"))?;
            Ok(mark)
        }
    }

    /// Seconds since another; both are over.
    fn since(&self, before: &Self) -> Result<f64, TrainError> {
        // SAFETY: both events were recorded, and the stream has been waited for.
        let milliseconds =
            unsafe { result::event::elapsed(before.0, self.0) }.map_err(failed("the time of a kernel"))?;
        Ok(f64::from(milliseconds) / 1e3)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // SAFETY: the event is this one's. An error means that the card is lost.
        let _ = unsafe { result::event::destroy(self.0) };
    }
}

/// A graph of CUDA.
struct Recorded {
    executable: sys::CUgraphExec,
    stream: sys::CUstream,
}

impl Recording for Recorded {
    fn replay(&self) -> Result<(), TrainError> {
        // SAFETY: graph and stream live: whoever holds this holds the memory that the graph works on.
        unsafe { result::graph::launch(self.executable, self.stream) }.map_err(failed("starting a step"))
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // SAFETY: it is not launched again; the driver keeps what still runs.
        let _ = unsafe { result::graph::exec_destroy(self.executable) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_the_message_says_what_is_missing_and_what_to_do() {
        // SAFETY: see `cards`.
        if unsafe { sys::is_culib_present() } {
            eprintln!("skipped: this machine has a driver");
            return;
        }
        let missing = cards().expect_err("no driver, no cards").to_string();
        assert!(missing.contains("libcuda.so.1 cannot be loaded") && missing.contains("choose another"), "{missing}");
        let error = Driver::open(0).err().expect("no driver, no card");
        assert!(matches!(&error, TrainError::Configuration(text) if text.contains("no NVIDIA driver")), "{error}");
    }

    #[test]
    fn versions_of_cuda_are_told_as_people_write_them() {
        assert_eq!([cuda(12_040), cuda(13_000), cuda(11_080)], ["12.4", "13.0", "11.8"]);
    }
}
