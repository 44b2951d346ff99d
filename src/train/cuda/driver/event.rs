//! Places in the work of a stream.

use cudarc::driver::{DriverError, result, sys};

use super::failure::failed;
use crate::train::cuda::gpu::Mark;
use crate::trainer::TrainError;

/// What an event is for.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// To know when it was reached.
    Time = sys::CUevent_flags::CU_EVENT_DEFAULT as isize,
    /// To be waited for by a thread that sleeps meanwhile: threads of many runs would otherwise each keep a core busy.
    Wait = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC as isize | sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as isize,
}

/// A place in the work of a stream, once it is recorded.
pub struct Event(sys::CUevent);

impl Event {
    /// One of the context that is current.
    pub fn new(purpose: Purpose) -> Result<Self, DriverError> {
        let mut event = std::ptr::null_mut();
        // SAFETY: writes one handle. Flags are a sum, which the enum of the binding has no name for.
        unsafe { sys::cuEventCreate(&raw mut event, purpose as u32) }.result()?;
        Ok(Self(event))
    }

    /// One behind all work of a stream so far.
    pub fn here(purpose: Purpose, stream: sys::CUstream) -> Result<Self, DriverError> {
        let event = Self::new(purpose)?;
        event.record(stream)?;
        Ok(event)
    }

    /// Puts it behind all work of a stream so far.
    pub fn record(&self, stream: sys::CUstream) -> Result<(), DriverError> {
        // SAFETY: event and stream are of the context that is current.
        unsafe { result::event::record(self.0, stream) }
    }

    /// Waits until the work before it is done; not at all where it was never recorded.
    pub fn wait(&self) -> Result<(), DriverError> {
        // SAFETY: the event is this one's.
        unsafe { result::event::synchronize(self.0) }
    }

    /// Seconds since another; both are for their time, and over.
    pub fn since(&self, before: &Self) -> Result<f64, DriverError> {
        // SAFETY: both events were recorded, and the stream has been waited for.
        let milliseconds = unsafe { result::event::elapsed(before.0, self.0) }?;
        Ok(f64::from(milliseconds) / 1e3)
    }
}

impl Mark for Event {
    fn wait(&self) -> Result<(), TrainError> {
        Self::wait(self).map_err(failed("waiting for the card"))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is this one's; the driver keeps what still waits for it. An error means that the card is lost.
        let _ = unsafe { result::event::destroy(self.0) };
    }
}
