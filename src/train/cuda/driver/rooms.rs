//! Memory of the card in which algorithms of the library of products add the parts of a sum.

use std::cell::RefCell;

use cudarc::driver::{DriverError, result, sys};

/// Products of several runs at once may want as much for each of them, but no more than this part of a card: one in so many.
const OF_CARD: usize = 32;

/// One piece.
#[derive(Clone, Copy)]
pub struct Room {
    pub at: sys::CUdeviceptr,
    pub bytes: usize,
}

/// All of one stream, each larger than the one before. What was taken stays, since recorded steps know its address.
#[derive(Default)]
pub struct Rooms(RefCell<Vec<Room>>);

impl Rooms {
    /// Most bytes for an algorithm of one product; what NVIDIA advises for Hopper.
    pub const OF_ONE: usize = 32 << 20;

    /// Most bytes for products of several runs at once.
    pub fn most_together() -> usize {
        result::mem_get_info().map_or(Self::OF_ONE, |(_, total)| (total / OF_CARD).max(Self::OF_ONE))
    }

    /// One of so many bytes at least.
    pub fn find(&self, bytes: usize) -> Result<Room, DriverError> {
        let mut rooms = self.0.borrow_mut();
        let bytes = bytes.max(1).next_multiple_of(Self::OF_ONE);
        if let Some(room) = rooms.iter().find(|room| room.bytes >= bytes) {
            return Ok(*room);
        }
        // SAFETY: the context is current, and no step is recorded: one goes launch by launch before.
        let room = Room { at: unsafe { result::malloc_sync(bytes) }?, bytes };
        rooms.push(room);
        Ok(room)
    }

    /// Gives all back.
    ///
    /// # Safety
    /// The work of the stream is done, and nothing recorded is launched again.
    pub unsafe fn free(&mut self) {
        for room in self.0.get_mut().drain(..) {
            // SAFETY: the address is one that the driver gave. An error means that the card is lost.
            let _ = unsafe { result::free_sync(room.at) };
        }
    }
}
