//! A real card, through NVIDIA's driver, which cudarc loads when the first card is asked for. Nothing else of NVIDIA's is
//! needed; the library of products is used where it is found.

// Every call of the driver is unsafe: it takes handles and addresses on trust. Each says why they can be trusted.
#![allow(unsafe_code)]

mod candidates;
mod event;
mod failure;
mod library;
mod rooms;
mod shared;
mod staging;

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::{Arc, LazyLock};

use cudarc::driver::{DriverError, result, sys};

use self::event::{Event, Purpose};
use self::failure::failed;
use self::library::Library;
use self::shared::Shared;
use self::staging::Staging;
use super::faults;
use super::gpu::{Address, Card, Gpu, LIBRARY_PRODUCT, Launch, Mark, Memory, Product, Recording, Taken};
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
    let count = result::device::get_count().map_err(|error| {
        let what = format!("the NVIDIA driver does not tell its cards: {}", faults::words(error.0 as u32));
        absent(what, "see whether nvidia-smi runs, or choose another device")
    })?;
    let cards: Vec<Card> = (0..count).map(|index| card(index).unwrap_or_else(silent)).collect();
    if cards.iter().any(is_usable) {
        return Ok(cards);
    }
    let seen: Vec<String> = cards.iter().map(told).collect();
    let seen = if seen.is_empty() { "none at all".to_owned() } else { seen.join(", ") };
    let what = format!("no card from Ampere on (compute capability 8.0; seen: {seen})");
    Err(absent(what, "choose another device"))
}

/// One that does not answer. It keeps its number.
fn silent(error: DriverError) -> Card {
    let name = format!("a card that does not answer ({})", faults::words(error.0 as u32));
    Card { name, driver: String::new(), capability: 0, multiprocessors: 0 }
}

/// Whether the kernels run on a card.
fn is_usable(card: &Card) -> bool {
    card.capability >= OLDEST_CARD
}

/// A card by its name, and why it cannot be used where it cannot.
pub fn told(card: &Card) -> String {
    let Card { name, capability, .. } = card;
    match capability {
        // Of one that does not answer the name says so.
        0 | OLDEST_CARD.. => name.clone(),
        _ => format!("{name} (too old: compute capability {}.{})", capability / 10, capability % 10),
    }
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
    timing: RefCell<Option<Vec<(&'static str, Event)>>>,
    library: Option<Library>,
    _owned: OwnedStream,
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
        if !is_usable(&card) {
            let message = format!("--device cuda:{index}: {}; a card has to be from Ampere on (8.0)", told(&card));
            return Err(TrainError::Configuration(message));
        }
        let what = format!("cannot open {}", card.name);
        let failed = failed(&what);
        let index = i32::try_from(index).expect("a number of a card");
        let shared = Shared::open(index, card.capability, &what)?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(&failed)?;
        let owned = OwnedStream(stream);
        let staging = RefCell::new(Staging::new(stream));
        let pools = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
        // SAFETY: the device comes from the driver.
        let pools =
            result::device::get(index).and_then(|device| unsafe { result::device::get_attribute(device, pools) });
        let ordered = pools.is_ok_and(|pools| pools == 1);
        let library = Library::find()?;
        Ok(Self { card, stream, staging, ordered, timing: RefCell::default(), library, _owned: owned, shared })
    }

    /// Marks the end of a kernel, while times are asked for.
    fn timed(&self, kernel: &'static str) -> Result<(), TrainError> {
        if let Some(marks) = self.timing.borrow_mut().as_mut() {
            marks.push((kernel, Event::here(Purpose::Time, self.stream).map_err(failed("an event"))?));
        }
        Ok(())
    }

    /// Waits for all work: asleep where other runs of this process, or of this only core, have a use for the core. A run by
    /// itself waits awake, which is quicker by some ten microseconds each time.
    fn finish(&self) -> Result<(), DriverError> {
        // To count them takes longer than many a wait.
        static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
        if Arc::strong_count(&self.shared) > 1 || *CORES == 1 {
            return Event::here(Purpose::Wait, self.stream)?.wait();
        }
        // SAFETY: the stream is this one's.
        unsafe { result::stream::synchronize(self.stream) }
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
        self.staging.borrow_mut().upload(to, bytes)
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), TrainError> {
        // A copy into memory that is not pinned waits inside the call, and awake, for all that comes before it on the stream.
        self.finish().map_err(failed("copying from the card"))?;
        // SAFETY: the bytes stay borrowed until the copy is done.
        let asked = unsafe { result::memcpy_dtoh_async(bytes, from, self.stream) };
        asked.and_then(|()| self.finish()).map_err(failed("copying from the card"))
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<(), TrainError> {
        // SAFETY: the memory was taken by `allocate`, whose users know its length.
        unsafe { result::memset_d8_async(at, 0, bytes, self.stream) }.map_err(failed("writing zeros"))
    }

    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), TrainError> {
        // SAFETY: both pieces were taken by `allocate`, whose users know their lengths.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }.map_err(failed("copying on the card"))
    }

    fn launch(&self, launch: &Launch) -> Result<(), TrainError> {
        let Launch { kernel, threads, shared, .. } = launch;
        let function = self.shared.function(kernel, *shared)?;
        let mut pointers = launch.pointers();
        let [x, y, z] = launch.extent();
        // SAFETY: `step` gives each kernel the arguments that its source declares, with memory of the sizes that `layout`
        // gives them; the driver copies the arguments before it returns.
        let started = unsafe {
            result::launch_kernel(function, (x, y, z), (*threads, 1, 1), *shared, self.stream, &mut pointers)
        };
        started.map_err(failed(&format!("kernel {kernel}")))?;
        self.timed(kernel)
    }

    fn product(&self, product: &Product) -> Result<bool, TrainError> {
        let Some(library) = &self.library else { return Ok(false) };
        let done = library.product(product, self.stream)?;
        if done {
            self.timed(LIBRARY_PRODUCT)?;
        }
        Ok(done)
    }

    fn time(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Vec<Taken>, TrainError> {
        let mut before = Event::here(Purpose::Time, self.stream).map_err(failed("an event"))?;
        *self.timing.borrow_mut() = Some(Vec::new());
        let worked = work();
        let marks = self.timing.borrow_mut().take().unwrap_or_default();
        worked?;
        self.synchronize()?;
        let mut taken = Vec::with_capacity(marks.len());
        for (kernel, mark) in marks {
            taken.push(Taken { kernel, seconds: mark.since(&before).map_err(failed("the time of a kernel"))? });
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
        self.finish().map_err(failed("waiting for the card"))
    }

    fn mark(&self) -> Result<Box<dyn Mark>, TrainError> {
        Ok(Box::new(Event::here(Purpose::Wait, self.stream).map_err(failed("an event"))?))
    }

    fn library(&self) -> Option<String> {
        Some(self.library.as_ref().map_or_else(|| "own products".to_owned(), Library::told))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: the stream is this one's. An error means that the card is lost.
        let _ = unsafe { result::stream::synchronize(self.stream) };
    }
}

/// A stream that goes with this.
struct OwnedStream(sys::CUstream);

impl Drop for OwnedStream {
    fn drop(&mut self) {
        // SAFETY: it goes after what works in it: the driver's parts before it, and graphs, which live no longer than their
        // sessions, which borrow the driver. An error means that the card is lost.
        let _ = unsafe { result::stream::destroy(self.0) };
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
            tell!("skipped: this machine has a driver");
            return;
        }
        let missing = cards().expect_err("no driver, no cards").to_string();
        assert!(missing.contains("libcuda.so.1 cannot be loaded") && missing.contains("choose another"), "{missing}");
        let error = Driver::open(0).err().expect("no driver, no card");
        assert!(matches!(&error, TrainError::Configuration(text) if text.contains("no NVIDIA driver")), "{error}");
    }

    #[test]
    fn a_card_that_cannot_be_used_is_listed_with_its_reason() {
        let card = |capability| Card { name: "T4".to_owned(), driver: String::new(), capability, multiprocessors: 40 };
        assert_eq!([told(&card(75)), told(&card(90))], ["T4 (too old: compute capability 7.5)", "T4"]);
        let silent = told(&silent(DriverError(sys::CUresult::CUDA_ERROR_ECC_UNCORRECTABLE)));
        assert!(silent.starts_with("a card that does not answer (the card's memory"), "{silent}");
    }

    #[test]
    fn versions_of_cuda_are_told_as_people_write_them() {
        assert_eq!([cuda(12_040), cuda(13_000), cuda(11_080)], ["12.4", "13.0", "11.8"]);
    }
}
