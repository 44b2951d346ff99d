//! The memory of several runs, laid out alike.

use std::cell::{Cell, RefCell};

use crate::train::cuda::gpu::{Address, Gpu, Runs};
use crate::train::cuda::layout::Room;
use crate::trainer::TrainError;

/// One piece of memory, with a place for each run. What is taken from it is taken at the same distance in all places; its address
/// is that in the first.
pub struct Slab<'g> {
    gpu: &'g dyn Gpu,
    at: Address,
    /// Bytes of a place.
    each: usize,
    taken: Cell<usize>,
    /// What every place holds from the beginning, by its distance from the place's.
    holds: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl<'g> Slab<'g> {
    /// So many places of so many bytes, all zero.
    pub fn new(gpu: &'g dyn Gpu, each: usize, places: usize) -> Result<Self, TrainError> {
        let each = each.next_multiple_of(Runs::ALIGNMENT);
        Ok(Self { gpu, at: gpu.allocate(each * places)?, each, taken: Cell::default(), holds: RefCell::default() })
    }

    /// Bytes from one place to the next.
    pub fn apart(&self) -> u64 {
        self.each as u64
    }

    /// Makes a place as it was at first, with what it has to hold.
    pub fn renew(&self, place: usize) -> Result<(), TrainError> {
        let begin = self.at + place as u64 * self.apart();
        self.gpu.zero(begin, self.each)?;
        self.holds.borrow().iter().try_for_each(|(ahead, bytes)| self.gpu.upload(begin + ahead, bytes))
    }
}

impl Room for Slab<'_> {
    fn bytes(&self, bytes: usize) -> Result<Address, TrainError> {
        let ahead = self.taken.get();
        self.taken.set(ahead + bytes.next_multiple_of(Runs::ALIGNMENT));
        assert!(self.taken.get() <= self.each, "a place is as large as what was counted");
        Ok(self.at + ahead as u64)
    }

    /// Lies there once a place is made new.
    fn holding(&self, bytes: &[u8]) -> Result<Address, TrainError> {
        let at = self.bytes(bytes.len())?;
        self.holds.borrow_mut().push((at - self.at, bytes.to_vec()));
        Ok(at)
    }
}

impl Drop for Slab<'_> {
    fn drop(&mut self) {
        self.gpu.free(self.at);
        // Others have the memory at once.
        let _ = self.gpu.synchronize();
    }
}
