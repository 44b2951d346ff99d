//! A card that is not there: the same kernels, compiled for the CPU, run by a shared object. For tests.

// Calls into the shared object, and memory that is handed to it by address.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use super::gpu::{Address, Card, Gpu, Launch, Mark, Memory, Product, Recording, Taken};
use crate::trainer::TrainError;

/// Names the shared object in which `--device cuda` finds its card. For tests.
const VARIABLE: &str = "RUNNER_CUDA_EMULATOR";

/// The shared object that is named.
pub fn named() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// Memory that the card claims to have.
const TOTAL: usize = 1 << 30;

/// Memory comes in lines of this length, so that it begins where that of a card may begin.
#[repr(C, align(256))]
#[derive(Clone, Copy)]
struct Line([u8; 256]);

/// What stands before and behind each piece of memory, to see whether a kernel leaves it.
const GUARD: Line = Line([0xa5; 256]);

type Start = unsafe extern "C" fn(*const c_char, *const c_uint, *const c_uint, c_uint, *mut *mut c_void) -> c_int;

/// The emulated card.
pub struct Emulator {
    inner: Rc<Inner>,
}

struct Inner {
    card: Card,
    start: Start,
    error: unsafe extern "C" fn() -> *const c_char,
    /// Each piece between two guards, by the address of its first byte, with its length in bytes.
    memory: RefCell<BTreeMap<Address, (Vec<Line>, usize)>>,
    /// What is recorded, while something is.
    recording: RefCell<Option<Vec<Work>>>,
    /// How long kernels take, while that is asked for.
    timing: RefCell<Option<Vec<Taken>>>,
    _file: libloading::Library,
}

/// What a recording repeats.
#[derive(Clone)]
enum Work {
    Launch(Launch),
    Zero(Address, usize),
}

impl Emulator {
    /// Opens a shared object made of the kernels.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let failed = |error: libloading::Error| TrainError::Configuration(format!("{}: {error}", path.display()));
        // SAFETY: the object is made of our own kernels; the functions have these types in its source.
        let (file, start, error) = unsafe {
            let file = libloading::Library::new(path).map_err(failed)?;
            let start = *file.get(b"emulated_launch").map_err(failed)?;
            let error = *file.get(b"emulated_error").map_err(failed)?;
            (file, start, error)
        };
        let card = Card {
            name: "an emulated card".to_owned(),
            driver: "emulator".to_owned(),
            capability: 80,
            multiprocessors: 2,
        };
        let (memory, recording, timing) = (RefCell::default(), RefCell::default(), RefCell::default());
        Ok(Self { inner: Rc::new(Inner { card, start, error, memory, recording, timing, _file: file }) })
    }
}

impl Inner {
    fn perform(&self, work: &Work) -> Result<(), TrainError> {
        match work {
            Work::Launch(launch) => {
                let begun = Instant::now();
                self.start(launch)?;
                if let Some(taken) = self.timing.borrow_mut().as_mut() {
                    taken.push(Taken { kernel: launch.kernel, seconds: begun.elapsed().as_secs_f64() });
                }
                Ok(())
            }
            Work::Zero(at, bytes) => self.with(*at, *bytes, |memory| memory.fill(0)),
        }
    }

    /// Notes work while something is recorded, and does it otherwise.
    fn ask(&self, work: Work) -> Result<(), TrainError> {
        if let Some(recorded) = self.recording.borrow_mut().as_mut() {
            recorded.push(work);
            return Ok(());
        }
        self.perform(&work)
    }

    /// Bytes of the card's memory, which must lie in one piece.
    fn with<T>(&self, at: Address, bytes: usize, work: impl FnOnce(&mut [u8]) -> T) -> Result<T, TrainError> {
        let memory = self.memory.borrow();
        let piece = memory.range(..=at).next_back();
        let inside = piece.is_some_and(|(begin, (_, length))| at + bytes as u64 <= begin + *length as u64);
        if !inside {
            return Err(TrainError::Device(format!("{bytes} bytes at {at:#x} are not the card's")));
        }
        // SAFETY: the bytes lie within one piece, as just seen, and no kernel runs meanwhile.
        Ok(work(unsafe { std::slice::from_raw_parts_mut(at as *mut u8, bytes) }))
    }

    fn start(&self, launch: &Launch) -> Result<(), TrainError> {
        let Launch { kernel, threads, shared, .. } = launch;
        let name = CString::new(*kernel).expect("a name of a kernel");
        let (grid, block, mut pointers) = (launch.extent(), [*threads, 1, 1], launch.pointers());
        // SAFETY: as for a real card: `step` gives each kernel the arguments that its source declares.
        let status =
            unsafe { (self.start)(name.as_ptr(), grid.as_ptr(), block.as_ptr(), *shared, pointers.as_mut_ptr()) };
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the object's text lives as long as it.
        let text = unsafe { CStr::from_ptr((self.error)()) }.to_string_lossy();
        Err(TrainError::Device(format!("kernel {kernel}: {text} (status {status})")))
    }
}

impl Gpu for Emulator {
    fn card(&self) -> &Card {
        &self.inner.card
    }

    fn memory(&self) -> Result<Memory, TrainError> {
        let taken: usize = self.inner.memory.borrow().values().map(|(_, length)| length).sum();
        Ok(Memory { free: TOTAL.saturating_sub(taken), total: TOTAL })
    }

    fn allocate(&self, bytes: usize) -> Result<Address, TrainError> {
        let free = self.memory()?.free;
        if bytes > free {
            let what =
                format!("cannot take {} MiB of {} ({} MiB are free)", bytes >> 20, self.inner.card.name, free >> 20);
            return Err(super::faults::failed(&what, 2));
        }
        let lines = bytes.div_ceil(size_of::<Line>()).max(1);
        let mut piece = vec![Line([0; 256]); lines + 2];
        (piece[0], piece[lines + 1]) = (GUARD, GUARD);
        // What is left of the last line is guarded too.
        let rest = bytes.max(1) - (lines - 1) * size_of::<Line>();
        piece[lines].0[rest..].fill(GUARD.0[0]);
        let at = piece[1].0.as_mut_ptr() as Address;
        self.inner.memory.borrow_mut().insert(at, (piece, bytes));
        Ok(at)
    }

    fn free(&self, at: Address) {
        let (piece, bytes) = self.inner.memory.borrow_mut().remove(&at).expect("memory that was taken");
        let all = piece.iter().flat_map(|line| line.0);
        let begin = size_of::<Line>();
        let touched = all.enumerate().find(|(i, byte)| {
            let guard = *i < begin || *i >= begin + bytes.max(1);
            guard && *byte != GUARD.0[0]
        });
        // While a test unwinds a second panic would hide the first.
        if let Some((i, _)) = touched
            && !std::thread::panicking()
        {
            panic!(
                "a kernel wrote {} bytes from the beginning of {bytes} that it was given",
                i.cast_signed() - begin.cast_signed()
            );
        }
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<(), TrainError> {
        self.inner.with(to, bytes.len(), |memory| memory.copy_from_slice(bytes))
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), TrainError> {
        self.inner.with(from, bytes.len(), |memory| bytes.copy_from_slice(memory))
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<(), TrainError> {
        self.inner.ask(Work::Zero(at, bytes))
    }

    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), TrainError> {
        let copied = self.inner.with(from, bytes, |memory| memory.to_vec())?;
        self.inner.with(to, bytes, |memory| memory.copy_from_slice(&copied))
    }

    fn launch(&self, launch: &Launch) -> Result<(), TrainError> {
        self.inner.ask(Work::Launch(launch.clone()))
    }

    fn product(&self, _: &Product) -> Result<bool, TrainError> {
        Ok(false)
    }

    fn time(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Vec<Taken>, TrainError> {
        *self.inner.timing.borrow_mut() = Some(Vec::new());
        let worked = work();
        let taken = self.inner.timing.borrow_mut().take().unwrap_or_default();
        worked.map(|()| taken)
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Box<dyn Recording>, TrainError> {
        *self.inner.recording.borrow_mut() = Some(Vec::new());
        let worked = work();
        let recorded = self.inner.recording.borrow_mut().take().unwrap_or_default();
        worked.map(|()| Box::new(Recorded { card: Rc::clone(&self.inner), recorded }) as Box<dyn Recording>)
    }

    fn synchronize(&self) -> Result<(), TrainError> {
        Ok(())
    }

    fn mark(&self) -> Result<Box<dyn Mark>, TrainError> {
        Ok(Box::new(Done))
    }
}

/// All work is done when it is asked for.
struct Done;

impl Mark for Done {
    fn wait(&self) -> Result<(), TrainError> {
        Ok(())
    }
}

struct Recorded {
    card: Rc<Inner>,
    recorded: Vec<Work>,
}

impl Recording for Recorded {
    fn replay(&self) -> Result<(), TrainError> {
        self.recorded.iter().try_for_each(|work| self.card.perform(work))
    }
}
