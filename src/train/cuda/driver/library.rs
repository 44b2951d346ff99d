//! Matrix products by `cuBLASLt`, where a CUDA toolkit or the package of pip has it. Algorithms come from its heuristics, and none
//! that adds parts by atomics, so that the same product gives the same bits.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use cudarc::driver::{DriverError, result, sys};

use super::candidates::candidates;
use super::rooms::{Room, Rooms};
use crate::train::cuda::gpu::{Factor, Number, Product, Runs};
use crate::trainer::TrainError;

/// Names a file of cuBLASLt, or `none`.
const VARIABLE: &str = "RUNNER_CUBLASLT";

/// Major versions whose functions are those declared below.
const KNOWN_VERSIONS: [usize; 2] = [12, 13];

// Numbers of cublasLt.h.
const SUCCESS: c_int = 0;
/// What the library's first call says where it cannot start: with a card that has no room left too.
const NOT_INITIALIZED: c_int = 1;
const ALLOC_FAILED: c_int = 3;
const EXECUTION_FAILED: c_int = 13;
const NOT_SUPPORTED: c_int = 15;
/// Invalid value, wrong architecture, not supported: nothing was started.
const REFUSALS: [c_int; 3] = [7, 8, NOT_SUPPORTED];
/// Name and meaning of each status but success.
const STATUSES: [(c_int, &str, &str); 9] = [
    (NOT_INITIALIZED, "NOT_INITIALIZED", "it does not start on this card"),
    (ALLOC_FAILED, "ALLOC_FAILED", "there is no room left"),
    (7, "INVALID_VALUE", "it does not take a number that it was given"),
    (8, "ARCH_MISMATCH", "it has nothing for this card"),
    (11, "MAPPING_ERROR", "it cannot reach its memory"),
    (EXECUTION_FAILED, "EXECUTION_FAILED", "the card failed"),
    (14, "INTERNAL_ERROR", "it failed inside"),
    (NOT_SUPPORTED, "NOT_SUPPORTED", "it does not do this"),
    (16, "LICENSE_ERROR", "it has no licence"),
];
/// Free memory of a card, in bytes, with less of which the library does not start.
const ROOM_TO_START: usize = 256 << 20;
const COMPUTE_32F: c_int = 68;
const COMPUTE_32F_FAST_TF32: c_int = 77;
const R_32F: c_int = 0;
const R_16BF: c_int = 14;
const DESC_TRANSA: c_int = 3;
const DESC_TRANSB: c_int = 4;
const LAYOUT_BATCH_COUNT: c_int = 5;
const LAYOUT_STRIDED_BATCH_OFFSET: c_int = 6;
const PREF_MAX_WORKSPACE_BYTES: c_int = 1;
const PREF_REDUCTION_SCHEME_MASK: c_int = 3;
const PREF_MIN_ALIGNMENT_BYTES: [c_int; 4] = [5, 6, 7, 8];
/// Parts are added through the workspace, in the type of the sums; not in place, by atomics, nor rounded to the result's.
const REDUCTION_WITHOUT_ATOMICS: u32 = 2;
/// Nothing is summed in parts.
const NO_REDUCTION: u32 = 0;
/// Terms of a sum that algorithms of Hopper take at once. Some of those that sum in parts leave the rest of fewer terms out
/// (facebookexperimental/triton, pull request 2767, which NVIDIA has not confirmed).
const TERMS_AT_ONCE: usize = 64;

type Handle = *mut c_void;

/// `cublasLtMatmulHeuristicResult_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Heuristic {
    algorithm: [u64; 8],
    workspace: usize,
    state: c_int,
    waves: f32,
    reserved: [c_int; 4],
}

impl Heuristic {
    const NONE: Self = Self { algorithm: [0; 8], workspace: 0, state: 0, waves: 0.0, reserved: [0; 4] };
}

type Set = unsafe extern "C" fn(Handle, c_int, *const c_void, usize) -> c_int;
type Multiply = unsafe extern "C" fn(
    Handle,
    Handle,
    *const c_void,
    *const c_void,
    Handle,
    *const c_void,
    Handle,
    *const c_void,
    *const c_void,
    Handle,
    *mut c_void,
    Handle,
    *const [u64; 8],
    *mut c_void,
    usize,
    sys::CUstream,
) -> c_int;
type Choose = unsafe extern "C" fn(
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    c_int,
    *mut Heuristic,
    *mut c_int,
) -> c_int;

type Check =
    unsafe extern "C" fn(Handle, Handle, Handle, Handle, Handle, Handle, *const [u64; 8], *mut Heuristic) -> c_int;

/// The functions of the library that are used.
struct Functions {
    version: unsafe extern "C" fn() -> usize,
    create: unsafe extern "C" fn(*mut Handle) -> c_int,
    destroy: unsafe extern "C" fn(Handle) -> c_int,
    describe: unsafe extern "C" fn(*mut Handle, c_int, c_int) -> c_int,
    set_description: Set,
    lay_out: unsafe extern "C" fn(*mut Handle, c_int, u64, u64, i64) -> c_int,
    set_layout: Set,
    prefer: unsafe extern "C" fn(*mut Handle) -> c_int,
    set_preference: Set,
    choose: Choose,
    check: Check,
    multiply: Multiply,
}

/// The library, with what it chose for each product so far. What it hands out is kept until the process ends.
pub struct Library {
    functions: Functions,
    handle: Handle,
    rooms: Rooms,
    plans: RefCell<HashMap<Key, Option<Plan>>>,
    /// Never unloaded: the runtime inside it may be called when the context goes.
    _file: ManuallyDrop<libloading::Library>,
}

/// Whether it left a product to our own kernels, on any stream of this process: who keeps a result may not be who stepped it.
static LEFT_SOME: AtomicBool = AtomicBool::new(false);

/// What decides an algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    size: [usize; 3],
    transposed: [bool; 2],
    numbers: [Number; 2],
    tf32: bool,
    /// Largest powers of two, up to 256, that the addresses of a, b and out are multiples of.
    alignment: [u32; 3],
    runs: Runs,
}

/// How a product is done.
#[derive(Clone, Copy)]
struct Plan {
    description: Handle,
    /// Of the first and the second factor, as the library counts, and of the result.
    layouts: [Handle; 3],
    algorithm: [u64; 8],
    room: Room,
}

impl Library {
    /// The library, where there is one that can be used; what was found is told once, on stderr. A card without room for it is
    /// an error: other products would be other bits. The card's context is current.
    pub fn find() -> Result<Option<Self>, TrainError> {
        static FOUND: Once = Once::new();
        static MISSED: Once = Once::new();
        if std::env::var(VARIABLE).is_ok_and(|name| name == "none") {
            return Ok(None);
        }
        let mut refused = Vec::new();
        for path in candidates(VARIABLE, KNOWN_VERSIONS) {
            match Self::open(&path) {
                Ok(library) => {
                    let version = library.version();
                    FOUND.call_once(|| tell!("matrix products by cuBLASLt {version}, {}", path.display()));
                    return Ok(Some(library));
                }
                Err(Unusable::Refused(why)) => refused.push(format!("{}: {why}", path.display())),
                Err(Unusable::Absent) => {}
                Err(Unusable::Failed(error)) => return Err(error),
            }
        }
        MISSED.call_once(|| tell!("{}", missed(&refused)));
        Ok(None)
    }

    /// Opens one file.
    fn open(path: &Path) -> Result<Self, Unusable> {
        // SAFETY: a library of NVIDIA's, whose loading runs nothing of ours.
        let file = unsafe { libloading::Library::new(path) }.map_err(|_| Unusable::Absent)?;
        let functions = functions(&file).map_err(|error| Unusable::Refused(error.to_string()))?;
        // SAFETY: takes nothing.
        let version = unsafe { (functions.version)() };
        // As 120405 for 12.4.5.
        if !KNOWN_VERSIONS.contains(&(version / 10_000)) {
            return Err(Unusable::Refused(format!("version {version} is neither 12 nor 13")));
        }
        let mut handle = null_mut();
        // SAFETY: writes one handle.
        let status = unsafe { (functions.create)(&raw mut handle) };
        if status != SUCCESS {
            let free = result::mem_get_info().map_or(usize::MAX, |(free, _)| free);
            return Err(unstarted(status, free));
        }
        let (rooms, plans) = (Rooms::default(), RefCell::default());
        Ok(Self { functions, handle, rooms, plans, _file: ManuallyDrop::new(file) })
    }

    /// Its version, as people write it.
    fn version(&self) -> String {
        // SAFETY: takes nothing.
        let version = unsafe { (self.functions.version)() };
        format!("{}.{}.{}", version / 10_000, version % 10_000 / 100, version % 100)
    }

    /// What did products so far, for who keeps their results.
    pub fn told(&self) -> String {
        let more = if LEFT_SOME.load(Ordering::Relaxed) { " and own products" } else { "" };
        format!("cuBLASLt {}{more}", self.version())
    }

    /// Does a product; false where the library has no algorithm for it, or does not take the one that it chose. Products of
    /// several runs take the algorithm of one by itself, so that they have its bits, all at once where the library does that.
    pub fn product(&self, product: &Product, stream: sys::CUstream) -> Result<bool, TrainError> {
        let Runs { count, apart } = product.runs;
        if count == 1 {
            let key = Key::of(product);
            return self.known(&key)?.map_or(Ok(false), |plan| self.multiply((key, plan), product, stream));
        }
        let Some(alone) = self.known(&Key::of(&product.ahead(0)))? else { return Ok(false) };
        let key = Key::of(product);
        let known = self.plans.borrow().get(&key).copied();
        let together = known.unwrap_or_else(|| self.plan_together(&key, alone.algorithm));
        self.plans.borrow_mut().insert(key, together);
        if let Some(plan) = together
            && self.multiply((key, plan), product, stream)?
        {
            return Ok(true);
        }
        for run in 0..u64::from(count) {
            match self.product(&product.ahead(run * apart), stream)? {
                true => {}
                // Our own kernel is to do all of them.
                false if run == 0 => return Ok(false),
                false => return Err(failure(product.size, NOT_SUPPORTED)),
            }
        }
        Ok(true)
    }

    /// Does a product as it is planned; false where the library does not take that.
    fn multiply(&self, (key, plan): (Key, Plan), product: &Product, stream: sys::CUstream) -> Result<bool, TrainError> {
        let Product { a, b, out, alpha, beta, .. } = *product;
        let Plan { description, layouts: [first, second, result], algorithm, room } = plan;
        // SAFETY: the plan was made for these sizes and alignments, and the memory is the session's. What we call rows
        // the library calls columns: it sees every matrix transposed, and so computes out' = b' a'.
        let status = unsafe {
            (self.functions.multiply)(
                self.handle,
                description,
                (&raw const alpha).cast(),
                b.at as *const c_void,
                first,
                a.at as *const c_void,
                second,
                (&raw const beta).cast(),
                out as *const c_void,
                result,
                out as *mut c_void,
                result,
                &raw const algorithm,
                room.at as *mut c_void,
                room.bytes,
                stream,
            )
        };
        if status == SUCCESS {
            return Ok(true);
        }
        let size = product.size;
        if REFUSALS.contains(&status) && product.runs.count > 1 {
            self.plans.borrow_mut().insert(key, None);
            return Ok(false);
        }
        if REFUSALS.contains(&status) {
            tell!("cuBLASLt refuses a product of {size:?}, {}: our own kernel does it", words(status));
            LEFT_SOME.store(true, Ordering::Relaxed);
            self.plans.borrow_mut().insert(key, None);
            return Ok(false);
        }
        Err(failure(size, status))
    }

    /// How a product is done, found out where it is asked for the first time; nothing where our own kernels do it.
    fn known(&self, key: &Key) -> Result<Option<Plan>, TrainError> {
        static SAID: Once = Once::new();
        if let Some(plan) = self.plans.borrow().get(key) {
            return Ok(*plan);
        }
        let plan = match self.plan(key, None) {
            Ok(plan) => Some(plan),
            Err(ALLOC_FAILED) => return Err(failure(key.size, ALLOC_FAILED)),
            Err(status) => {
                let (size, why) = (key.size, words(status));
                SAID.call_once(|| {
                    tell!(
                        "cuBLASLt has no algorithm for a product of {size:?} on this card, {why}: our own kernels, which are \
                         slower, do it and others like it. A newer version may have one"
                    );
                });
                LEFT_SOME.store(true, Ordering::Relaxed);
                None
            }
        };
        self.plans.borrow_mut().insert(*key, plan);
        Ok(plan)
    }

    /// How products of several runs are done at once by the algorithm of one; nothing where it does not do that, which is told once.
    fn plan_together(&self, key: &Key, algorithm: [u64; 8]) -> Option<Plan> {
        static SAID: Once = Once::new();
        let planned = self.plan(key, Some(algorithm));
        if let Err(status) = planned {
            let (size, count, why) = (key.size, key.runs.count, words(status));
            SAID.call_once(|| {
                tell!("cuBLASLt does not multiply {size:?} for {count} runs at once, {why}: one run after another, which is slower");
            });
        }
        planned.ok()
    }

    /// How a product is done, by an algorithm that is given or by the one that the library chooses, or the status that says why
    /// there is none.
    fn plan(&self, key: &Key, given: Option<[u64; 8]>) -> Result<Plan, c_int> {
        let (description, layouts) = self.described(key)?;
        let [first, second, result] = layouts;
        let f = &self.functions;
        let (mut found, mut count) = (Heuristic::NONE, 1);
        // SAFETY: handles are the library's own; it reads an algorithm, and writes what it found.
        let status = unsafe {
            let to = &raw mut found;
            if let Some(algorithm) = &given {
                (f.check)(self.handle, description, first, second, result, result, algorithm, to)
            } else {
                let (wanted, counted) = (self.preference(key)?, &raw mut count);
                (f.choose)(self.handle, description, first, second, result, result, wanted, 1, to, counted)
            }
        };
        good(status)?;
        let most = if given.is_some() { Rooms::most_together() } else { Rooms::OF_ONE };
        good(if count == 1 && found.workspace <= most { found.state } else { NOT_SUPPORTED })?;
        let full = |error: DriverError| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => ALLOC_FAILED,
            _ => EXECUTION_FAILED,
        };
        let room = self.rooms.find(found.workspace).map_err(full)?;
        Ok(Plan { description, layouts, algorithm: given.unwrap_or(found.algorithm), room })
    }

    /// What is to be computed, and how its factors and its result lie.
    fn described(&self, key: &Key) -> Result<(Handle, [Handle; 3]), c_int> {
        let [m, n, k] = key.size;
        let number = |number| if number == Number::Bf16 { R_16BF } else { R_32F };
        let [factors, result] = key.numbers.map(number);
        let compute = if key.tf32 { COMPUTE_32F_FAST_TF32 } else { COMPUTE_32F };
        let [a_transposed, b_transposed] = key.transposed;
        let f = &self.functions;
        // SAFETY: each call writes one handle or reads numbers of the size that is told, as cublasLt.h has it.
        unsafe {
            let description = made(&|to| (f.describe)(to, compute, R_32F))?;
            for (which, transposed) in [(DESC_TRANSA, b_transposed), (DESC_TRANSB, a_transposed)] {
                let operation = c_int::from(transposed);
                good((f.set_description)(description, which, (&raw const operation).cast(), 4))?;
            }
            let lay_out = |number, rows: usize, columns: usize| {
                let to = made(&|to| (f.lay_out)(to, number, rows as u64, columns as u64, rows.cast_signed() as i64))?;
                let Runs { count, apart } = key.runs;
                if count > 1 {
                    let (count, bytes) = (count.cast_signed(), if number == R_16BF { 2 } else { 4 });
                    let between = apart.cast_signed() / bytes;
                    good((f.set_layout)(to, LAYOUT_BATCH_COUNT, (&raw const count).cast(), 4))?;
                    good((f.set_layout)(to, LAYOUT_STRIDED_BATCH_OFFSET, (&raw const between).cast(), 8))?;
                }
                Ok::<Handle, c_int>(to)
            };
            let first = if b_transposed { lay_out(factors, k, n) } else { lay_out(factors, n, k) }?;
            let second = if a_transposed { lay_out(factors, m, k) } else { lay_out(factors, k, m) }?;
            Ok((description, [first, second, lay_out(result, n, m)?]))
        }
    }

    /// What an algorithm may do.
    fn preference(&self, key: &Key) -> Result<Handle, c_int> {
        let f = &self.functions;
        // SAFETY: as above.
        unsafe {
            let preference = made(&|to| (f.prefer)(to))?;
            let set = |which, value: *const c_void, bytes| good((f.set_preference)(preference, which, value, bytes));
            let is_whole = key.size[2].is_multiple_of(TERMS_AT_ONCE);
            let reduction = if is_whole { REDUCTION_WITHOUT_ATOMICS } else { NO_REDUCTION };
            let workspace = Rooms::OF_ONE;
            set(PREF_MAX_WORKSPACE_BYTES, (&raw const workspace).cast(), 8)?;
            set(PREF_REDUCTION_SCHEME_MASK, (&raw const reduction).cast(), 4)?;
            let [a, b, out] = key.alignment;
            for (which, alignment) in PREF_MIN_ALIGNMENT_BYTES.into_iter().zip([b, a, out, out]) {
                set(which, (&raw const alignment).cast(), 4)?;
            }
            Ok(preference)
        }
    }
}

/// A handle that the library makes.
fn made(make: &dyn Fn(*mut Handle) -> c_int) -> Result<Handle, c_int> {
    let mut handle = null_mut();
    good(make(&raw mut handle)).map(|()| handle)
}

/// Why a file of the library is not used.
enum Unusable {
    /// It is not there.
    Absent,
    /// It is there, and is not for this card or this program.
    Refused(String),
    /// It is good, and the card is not, or has no room for it.
    Failed(TrainError),
}

/// Why the library did not start, on a card with so many bytes free.
fn unstarted(status: c_int, free: usize) -> Unusable {
    let full = status == ALLOC_FAILED || status == NOT_INITIALIZED && free < ROOM_TO_START;
    if !full {
        return Unusable::Refused(words(status));
    }
    let message = format!("cuBLASLt does not start: {} MiB of the card are free", free >> 20);
    Unusable::Failed(TrainError::OutOfMemory(message))
}

/// What is said where no file can be used, of which these were refused.
fn missed(refused: &[String]) -> String {
    let own = "matrix products use our own kernels, which are slower";
    if refused.is_empty() {
        return format!(
            "cuBLASLt was not found: {own}. It comes with the CUDA toolkit or with `pip install nvidia-cublas-cu12`; \
             {VARIABLE}=/path/to/libcublasLt.so.12 names another place"
        );
    }
    let refused = refused.join("; ");
    format!("cuBLASLt cannot be used ({refused}): {own}. {VARIABLE}=/path/to/libcublasLt.so.12 names another file")
}

/// A status as a result.
fn good(status: c_int) -> Result<(), c_int> {
    if status == SUCCESS { Ok(()) } else { Err(status) }
}

/// What a status means, and its name.
fn words(status: c_int) -> String {
    match STATUSES.iter().find(|(number, ..)| *number == status) {
        Some((_, name, meaning)) => format!("{meaning} (CUBLAS_STATUS_{name})"),
        None => format!("status {status} of cuBLASLt"),
    }
}

/// The error of a product that failed, in its class.
fn failure(size: [usize; 3], status: c_int) -> TrainError {
    let message = format!("a product of {size:?} by cuBLASLt: {}", words(status));
    if status == ALLOC_FAILED { TrainError::OutOfMemory(message) } else { TrainError::Device(message) }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the stream's work is done, and nobody else has the handle. Descriptions, which are small, go with the process.
        unsafe {
            self.rooms.free();
            let _ = (self.functions.destroy)(self.handle);
        }
    }
}

impl Key {
    fn of(product: &Product) -> Self {
        let Product { a, b, out, size, factors, result, tf32, runs, .. } = *product;
        let alignment = |at: u64| 1 << at.trailing_zeros().min(8);
        let transposed = |factor: Factor| factor.transposed;
        Self {
            size,
            transposed: [a, b].map(transposed),
            numbers: [factors, result],
            tf32,
            alignment: [a.at, b.at, out].map(alignment),
            runs,
        }
    }
}

fn functions(file: &libloading::Library) -> Result<Functions, libloading::Error> {
    // SAFETY: the types are those of cublasLt.h for these names, the same in versions 12 and 13.
    unsafe {
        Ok(Functions {
            version: *file.get(b"cublasLtGetVersion")?,
            create: *file.get(b"cublasLtCreate")?,
            destroy: *file.get(b"cublasLtDestroy")?,
            describe: *file.get(b"cublasLtMatmulDescCreate")?,
            set_description: *file.get(b"cublasLtMatmulDescSetAttribute")?,
            lay_out: *file.get(b"cublasLtMatrixLayoutCreate")?,
            set_layout: *file.get(b"cublasLtMatrixLayoutSetAttribute")?,
            prefer: *file.get(b"cublasLtMatmulPreferenceCreate")?,
            set_preference: *file.get(b"cublasLtMatmulPreferenceSetAttribute")?,
            choose: *file.get(b"cublasLtMatmulAlgoGetHeuristic")?,
            check: *file.get(b"cublasLtMatmulAlgoCheck")?,
            multiply: *file.get(b"cublasLtMatmul")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_room_is_one_of_memory_and_other_failures_are_told_by_name() {
        let full = failure([1, 2, 3], ALLOC_FAILED);
        assert!(matches!(full, TrainError::OutOfMemory(_)), "{full}");
        let failed = failure([1, 2, 3], 14);
        assert!(matches!(failed, TrainError::Device(_)) && failed.to_string().contains("INTERNAL_ERROR"), "{failed}");
        let is_full = |status, free| matches!(unstarted(status, free), Unusable::Failed(TrainError::OutOfMemory(_)));
        assert!(is_full(ALLOC_FAILED, usize::MAX) && is_full(NOT_INITIALIZED, 10 << 20));
        assert!(!is_full(NOT_INITIALIZED, 10 << 30) && !is_full(8, 0));
    }

    #[test]
    fn a_library_that_was_found_is_not_to_be_installed() {
        assert!(missed(&[]).contains("not found") && missed(&[]).contains("pip install"));
        let refused = missed(&["/a.so: version 110000 is neither 12 nor 13".to_owned()]);
        assert!(refused.contains("cannot be used (/a.so: version") && !refused.contains("pip"), "{refused}");
    }

    #[test]
    fn an_algorithm_is_chosen_anew_where_size_place_or_numbers_differ() {
        let factor = |at| Factor { at, transposed: false };
        let product = Product {
            a: factor(0x1000),
            b: factor(0x2080),
            out: 0x3010,
            size: [4, 5, 6],
            factors: Number::Bf16,
            result: Number::F32,
            tf32: false,
            alpha: 1.0,
            beta: 0.0,
            runs: Runs::ONE,
        };
        assert_eq!(Key::of(&product).alignment, [256, 128, 16]);
        assert!(Key::of(&product) == Key::of(&Product { beta: 1.0, a: factor(0x5000), ..product }));
        for other in [
            Product { a: factor(0x1008), ..product },
            Product { size: [5, 4, 6], ..product },
            Product { result: Number::Bf16, ..product },
            Product { runs: Runs { count: 2, apart: 1 << 20 }, ..product },
            Product { b: Factor { transposed: true, ..product.b }, ..product },
        ] {
            assert!(Key::of(&product) != Key::of(&other), "{other:?}");
        }
    }
}
