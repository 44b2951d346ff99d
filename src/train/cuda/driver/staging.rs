//! Copies to the card that do not wait: through two pieces of pinned memory in turn.

use std::ffi::c_void;

use cudarc::driver::{result, sys};

use super::event::{Event, Purpose};
use super::failure::failed;
use crate::train::cuda::faults;
use crate::trainer::TrainError;

/// What failed, where something did.
const COPYING: &str = "copying to the card";

/// Bytes of one piece.
const PIECE: usize = 4 << 20;

/// Two pieces of pinned memory, of which one is filled while the card reads the other. Copies go one behind the other into a piece, so
/// that only what fills one waits for the card to have read the other.
pub struct Staging {
    stream: sys::CUstream,
    /// Taken when they are first used.
    pieces: [Option<Piece>; 2],
    /// Which is filled, and how far.
    now: usize,
    filled: usize,
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
    pub fn new(stream: sys::CUstream) -> Self {
        Self { stream, pieces: [None, None], now: 0, filled: 0 }
    }

    /// Copies to the card, in the order of the stream.
    pub fn upload(&mut self, to: sys::CUdeviceptr, bytes: &[u8]) -> Result<(), TrainError> {
        let mut done = 0;
        while done < bytes.len() {
            if self.filled == PIECE {
                (self.now, self.filled) = (1 - self.now, 0);
                if let Some(piece) = &self.pieces[self.now] {
                    piece.read.wait().map_err(failed(COPYING))?;
                }
            }
            let piece = match &mut self.pieces[self.now] {
                Some(piece) => piece,
                none => none.insert(Piece::new()?),
            };
            let chunk = &bytes[done..(done + PIECE - self.filled).min(bytes.len())];
            // SAFETY: when this piece was entered, its event followed the last copy out of it, and what is filled since lies
            // before `filled`; the chunk ends within the piece; the slice made of it is read by the copy before the event.
            let copied = unsafe {
                let place = piece.memory.cast::<u8>().add(self.filled);
                std::ptr::copy_nonoverlapping(chunk.as_ptr(), place, chunk.len());
                let pinned = std::slice::from_raw_parts(place.cast_const(), chunk.len());
                result::memcpy_htod_async(to + done as u64, pinned, self.stream)
            };
            copied.and_then(|()| piece.read.record(self.stream)).map_err(failed(COPYING))?;
            done += chunk.len();
            self.filled += chunk.len();
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
