//! Copies to the card that do not wait: through two pieces of pinned memory in turn.

use std::ffi::c_void;

use cudarc::driver::{DriverError, result, sys};

use super::event::{Event, Purpose};
use super::failure::failed;
use crate::train::cuda::faults;
use crate::trainer::TrainError;

/// Bytes of one piece.
const PIECE: usize = 4 << 20;

/// Two pieces of pinned memory, of which one is filled while the card reads the other.
pub struct Staging {
    stream: sys::CUstream,
    pieces: [Piece; 2],
    next: usize,
}

/// Pinned memory, and the event after which it is free again.
struct Piece {
    memory: *mut c_void,
    read: Event,
}

impl Piece {
    fn new() -> Result<Self, TrainError> {
        let read = Event::new(Purpose::Wait).map_err(failed("an event"))?;
        // SAFETY: the context is current; the memory is only read by the card after it was written.
        let memory = unsafe { result::malloc_host(PIECE, 0) };
        let memory = memory.map_err(|error| faults::of_host("taking memory for copies to the card", error.0 as u32))?;
        Ok(Self { memory, read })
    }
}

impl Staging {
    /// Staging for one stream of the context that is current.
    pub fn new(stream: sys::CUstream) -> Result<Self, TrainError> {
        Ok(Self { stream, pieces: [Piece::new()?, Piece::new()?], next: 0 })
    }

    /// Copies to the card, in the order of the stream.
    pub fn upload(&mut self, to: sys::CUdeviceptr, bytes: &[u8]) -> Result<(), DriverError> {
        for (number, chunk) in bytes.chunks(PIECE).enumerate() {
            let piece = &self.pieces[self.next];
            self.next = 1 - self.next;
            piece.read.wait()?;
            // SAFETY: the event follows the last copy out of this piece, so nobody reads it while it is filled; a chunk
            // is no longer than a piece; the slice made of it is read by the copy before the event.
            unsafe {
                std::ptr::copy_nonoverlapping(chunk.as_ptr(), piece.memory.cast::<u8>(), chunk.len());
                let pinned = std::slice::from_raw_parts(piece.memory.cast::<u8>().cast_const(), chunk.len());
                result::memcpy_htod_async(to + (number * PIECE) as u64, pinned, self.stream)?;
            }
            piece.read.record(self.stream)?;
        }
        Ok(())
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let _ = self.read.wait();
        // SAFETY: after the event nobody reads the memory. Errors mean that the card is lost.
        let _ = unsafe { result::free_host(self.memory) };
    }
}
