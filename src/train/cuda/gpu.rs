//! What the engine asks of a card: memory, copies, launches, products, and a graph that repeats them. Two things answer: the
//! driver of a real card, and an emulator on the CPU that runs the same kernels in tests.
//!
//! A `Gpu` is one stream: what is asked of it happens in the order of asking. Only `download`, `synchronize`
//! and marks wait.

use std::ffi::c_void;

use crate::trainer::TrainError;

/// A place in the memory of the card.
pub type Address = u64;

/// Runs of one shape that a launch or a product is for. Their memory is alike: what is told are the addresses of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Runs {
    /// How many.
    pub count: u32,
    /// Bytes from anything of one run to the same thing of the next; a multiple of [`Runs::ALIGNMENT`].
    pub apart: u64,
}

impl Runs {
    /// One by itself.
    pub const ONE: Self = Self { count: 1, apart: 0 };
    /// What the memory of a run begins at a multiple of, as any piece of memory does.
    pub const ALIGNMENT: usize = 256;
}

/// What is known of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its model.
    pub name: String,
    /// Version of its driver.
    pub driver: String,
    /// Compute capability, as 90 for 9.0.
    pub capability: u32,
    /// Multiprocessors.
    pub multiprocessors: u32,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Not taken by anybody.
    pub free: usize,
    /// Of the whole card.
    pub total: usize,
}

/// An argument of a kernel, in the width that its parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    bits: u64,
    /// Whether it is a place in the card's memory, or null.
    is_address: bool,
}

impl Argument {
    fn number(bits: u64) -> Self {
        Self { bits, is_address: false }
    }

    /// Where its bytes lie.
    pub fn pointer(&self) -> *const u64 {
        &raw const self.bits
    }

    /// The same of a run whose memory lies so many bytes further on.
    pub fn ahead(self, bytes: u64) -> Self {
        let moves = self.is_address && self.bits != 0;
        Self { bits: if moves { self.bits + bytes } else { self.bits }, ..self }
    }
}

impl From<Address> for Argument {
    fn from(address: Address) -> Self {
        Self { bits: address, is_address: true }
    }
}

impl From<f32> for Argument {
    // Both kinds of host are little-endian: the first four bytes are the number.
    fn from(value: f32) -> Self {
        Self::number(u64::from(value.to_bits()))
    }
}

impl From<f64> for Argument {
    fn from(value: f64) -> Self {
        Self::number(value.to_bits())
    }
}

impl From<i32> for Argument {
    fn from(value: i32) -> Self {
        Self::number(u64::from(value.cast_unsigned()))
    }
}

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Self::number(u64::from(value))
    }
}

impl From<i64> for Argument {
    fn from(value: i64) -> Self {
        Self::number(value.cast_unsigned())
    }
}

/// One start of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Its name in the kernels' source.
    pub kernel: &'static str,
    /// Blocks of one run. The third direction of the card's grids has the runs.
    pub grid: [u32; 2],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory that the launch decides.
    pub shared: u32,
    /// Arguments in the order of its parameters, but for the last: how far runs lie apart.
    pub arguments: Vec<Argument>,
    /// What it is for.
    pub runs: Runs,
}

impl Launch {
    /// The grid as the card has it.
    pub fn extent(&self) -> [u32; 3] {
        let [x, y] = self.grid;
        [x, y, self.runs.count]
    }

    /// All arguments, each by where its bytes lie.
    pub fn pointers(&self) -> Vec<*mut c_void> {
        let own = self.arguments.iter().map(|argument| argument.pointer().cast_mut().cast());
        own.chain([(&raw const self.runs.apart).cast_mut().cast()]).collect()
    }
}

/// How long one start of a kernel took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// Its name; [`LIBRARY_PRODUCT`] is one of the maker's library.
    pub kernel: &'static str,
    /// Seconds on the card.
    pub seconds: f64,
}

/// The name of a product that the maker's library does.
pub const LIBRARY_PRODUCT: &str = "product";

/// The numbers of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// Four bytes.
    F32,
    /// The upper two bytes of an f32.
    Bf16,
}

impl Number {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// A factor of a product: rows of `columns` numbers, one after another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    /// Its first number.
    pub at: Address,
    /// Whether its transpose is meant.
    pub transposed: bool,
}

/// out `[m, n]` = alpha a b + beta out, row after row; a is `[m, k]` and b `[k, n]` after transposing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// The left factor.
    pub a: Factor,
    /// The right factor.
    pub b: Factor,
    /// Where the result goes.
    pub out: Address,
    /// m, n and k.
    pub size: [usize; 3],
    /// Numbers of both factors.
    pub factors: Number,
    /// Numbers of the result.
    pub result: Number,
    /// Whether f32 factors may be rounded to TF32.
    pub tf32: bool,
    /// Factor on the product.
    pub alpha: f32,
    /// What stays of what was there: 0 or 1.
    pub beta: f32,
    /// What it is for: one product each.
    pub runs: Runs,
}

impl Product {
    /// The same of a run whose memory lies so many bytes further on, by itself.
    pub fn ahead(&self, bytes: u64) -> Self {
        let factor = |factor: Factor| Factor { at: factor.at + bytes, ..factor };
        Self { a: factor(self.a), b: factor(self.b), out: self.out + bytes, runs: Runs::ONE, ..*self }
    }
}

/// One stream of a card.
pub trait Gpu {
    /// The card.
    fn card(&self) -> &Card;

    /// Its memory now.
    fn memory(&self) -> Result<Memory, TrainError>;

    /// So many bytes, all zero.
    fn allocate(&self, bytes: usize) -> Result<Address, TrainError>;

    /// Gives them back, once all work before is done.
    fn free(&self, at: Address);

    /// Copies bytes to the card; they may be changed as soon as this returns.
    fn upload(&self, to: Address, bytes: &[u8]) -> Result<(), TrainError>;

    /// Copies bytes from the card, after all work before.
    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), TrainError>;

    /// Writes zeros.
    fn zero(&self, at: Address, bytes: usize) -> Result<(), TrainError>;

    /// Copies within the memory of the card, from one piece to another.
    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), TrainError>;

    /// Starts a kernel.
    fn launch(&self, launch: &Launch) -> Result<(), TrainError>;

    /// Computes a product by a library of the maker; false where there is none, and nothing is done.
    fn product(&self, product: &Product) -> Result<bool, TrainError>;

    /// Does the launches and products that `work` asks for, and tells how long each took, in their order.
    fn time(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Vec<Taken>, TrainError>;

    /// Records the launches, products and zeros that `work` asks for, without doing them.
    fn record(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Box<dyn Recording>, TrainError>;

    /// Waits until all work is done.
    fn synchronize(&self) -> Result<(), TrainError>;

    /// Marks the end of all that was asked for.
    fn mark(&self) -> Result<Box<dyn Mark>, TrainError>;

    /// What does products, where that is more than the engine's own kernels.
    fn library(&self) -> Option<String> {
        None
    }
}

/// A place in the work of a stream.
pub trait Mark {
    /// Waits until the work before it is done.
    fn wait(&self) -> Result<(), TrainError>;
}

/// Work that was recorded and can be done again, with the same addresses.
pub trait Recording {
    /// Does it once more.
    fn replay(&self) -> Result<(), TrainError>;
}
