//! The state of a run as a file, and back: the same for every engine, so that a run goes on where another device left it.

use std::fs::File;
use std::io::{self, Write};

use super::engine::Session;
use crate::checkpoint::{self, Place};
use crate::optimizer::Kept;
use crate::plan::{Run, RunId};
use crate::trainer::TrainError;

/// Writes the state; `place` says how far it is, losses excepted.
pub fn write(session: &mut dyn Session, run: &Run, out: &mut dyn Write, id: &RunId, place: &Place) -> io::Result<()> {
    let layout = checkpoint::layout(&run.shape, run.optimizer.kind);
    let (loss_sum, losses) = session.losses().map_err(failed)?;
    let place = Place { losses, ..place.clone() };
    // One after another, so that no more than one of them is copied at a time.
    let kept = checkpoint::kept(&run.shape, run.optimizer.kind);
    checkpoint::write(out, id, &place, &layout, &mut |at| match kept.get(at) {
        Some(&(weight, kept)) => session.numbers(weight, kept).map_err(failed),
        None => Ok(vec![loss_sum]),
    })
}

/// Writes the weights alone, those of the whole run.
pub fn write_model(session: &mut dyn Session, run: &Run, out: &mut dyn Write, id: &RunId) -> io::Result<()> {
    let place = Place { step: run.schedule.steps, ..Place::default() };
    let layout = checkpoint::model_layout(&run.shape);
    checkpoint::write(out, id, &place, &layout, &mut |at| session.numbers(at, Kept::Value).map_err(failed))
}

/// Takes up the state in a file, and says how far it is; nothing is changed where the file cannot be used.
pub fn read(session: &mut dyn Session, run: &Run, file: &mut File, id: &RunId) -> Result<Place, String> {
    take_up(session, run, file, id, |_| Ok(()))
}

/// Takes up the state that another run left in a file at the end of the stable phase that both share.
pub fn read_trunk(
    session: &mut dyn Session,
    run: &Run,
    file: &mut File,
    trunk: &RunId,
    micro_batches: usize,
) -> Result<Place, String> {
    take_up(session, run, file, trunk, |place| {
        let Place { step, micro_batches: parts, history, .. } = place;
        if *parts != micro_batches {
            return Err(format!("its batches were cut into {parts} parts, and those of this run into {micro_batches}"));
        }
        if history.len() != *step || *step > run.schedule.stable_steps() {
            return Err(format!("its {step} steps are not the beginning of this run"));
        }
        Ok(())
    })
}

/// Takes up the state in a file whose place may be used.
fn take_up(
    session: &mut dyn Session,
    run: &Run,
    file: &mut File,
    id: &RunId,
    may_be_used: impl Fn(&Place) -> Result<(), String>,
) -> Result<Place, String> {
    let (place, mut tensors) = checkpoint::read(file, id, &checkpoint::layout(&run.shape, run.optimizer.kind))?;
    may_be_used(&place)?;
    let loss_sum = tensors.pop().and_then(|sum| sum.first().copied()).unwrap_or_default();
    session.restore(&place, loss_sum, tensors).map_err(|error| error.to_string())?;
    Ok(place)
}

/// A device that fails while its numbers are read is seen again by the next step; the file is not kept.
fn failed(error: TrainError) -> io::Error {
    io::Error::other(error)
}
