//! The benchmark on a card.

use std::sync::Once;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gpu::{Address, Gpu, Number, Product, Runs};
use super::layout::{Arena, Room as _};
use super::product::{multiply, plain};
use super::program::{Phase, Program};
use super::seat::Seat;
use super::session::Session;
use super::state::StepState;
use crate::spec::Precision;
use crate::train::engine;
use crate::train::engine::Bench;
use crate::train::timing::{KernelTime, Phases};
use crate::trainer::TrainError;

/// Rows of the matrices whose product shows what the card can do at best, and of those that are taken at least where a card
/// has no room for more, or is slow.
const PEAK_ROWS: [usize; 2] = [8192, 64];

/// Random numbers that are drawn for them; rows of these matrices begin at different ones of them.
const DRAWN: usize = 1_000_003;

/// Bytes of an array that is copied to see the speed of the card's memory: more than its cache holds. Where there is no room
/// for two of them, or a copy takes long, they may be shorter, down to what no cache would show.
const MEMORY_BYTES: [usize; 2] = [256 << 20, 64 << 20];

/// What takes so long is large enough to be measured: starting it is nothing beside it. Every card of a data centre does the
/// largest product and the largest copy; a slow card, or an emulated one, would take minutes for them.
const LONG: Duration = Duration::from_millis(10);

/// Steps whose kernels are timed.
const TIMED: usize = 3;

/// Products, or steps, between two looks at the clock.
const AT_ONCE: usize = 8;

/// A run that is measured.
pub struct Stepper<'a, S> {
    /// Where what training is compared with is measured.
    gpu: &'a dyn Gpu,
    precision: Precision,
    session: Session<'a, S>,
    /// Of the last training.
    host_share: Option<f64>,
    /// Rows of large matrices, and bytes of a long array, once they were chosen.
    large: [Option<usize>; 2],
}

/// Gives the card one product of large matrices.
type Multiply<'a> = &'a dyn Fn() -> Result<(), TrainError>;

/// The least size, doubled up to the most while `work` of it takes less than [`LONG`]. Where there is no room for a size it
/// is the last one that is tried.
fn long_enough(
    [most, least]: [usize; 2],
    work: &dyn Fn(usize) -> Result<Duration, TrainError>,
) -> Result<usize, TrainError> {
    let mut size = least;
    while size < most {
        match work(size) {
            Ok(taken) if taken < LONG => size *= 2,
            Ok(_) | Err(TrainError::OutOfMemory(_)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(size)
}

/// Takes something of a size: the largest that there is room for, by halves between two ends.
fn largest<T>(
    [most, least]: [usize; 2],
    take: &dyn Fn(usize) -> Result<T, TrainError>,
) -> Result<(usize, T), TrainError> {
    let mut size = most;
    loop {
        match take(size) {
            Err(TrainError::OutOfMemory(_)) if size / 2 >= least => size /= 2,
            taken => return taken.map(|taken| (size, taken)),
        }
    }
}

impl<'a, S: Seat> Stepper<'a, S> {
    /// A run of which nothing is done.
    pub fn new(gpu: &'a dyn Gpu, mut session: Session<'a, S>, precision: Precision) -> Self {
        // What is measured is the card, and not how fast a language can be drawn.
        session.repeat_batches();
        Self { gpu, precision, session, host_share: None, large: [None; 2] }
    }

    /// Waits until the card has done the steps that were asked for.
    fn synchronize(&mut self) -> Result<(), TrainError> {
        self.session.seat().with(|program| program.gpu().synchronize())
    }

    /// Pieces of memory of so many bytes each, and what they go with.
    fn take<const N: usize>(&self, bytes: usize) -> Result<(Arena<'a>, [Address; N]), TrainError> {
        let (arena, mut pieces) = (Arena::new(self.gpu), [0; N]);
        for at in &mut pieces {
            *at = arena.bytes(bytes)?;
        }
        Ok((arena, pieces))
    }

    /// The product of two matrices of so many rows in the numbers of the run.
    fn product(&self, n: usize, [a, b, out]: [Address; 3]) -> Product {
        let factors = self.factors();
        Product {
            a: plain(a),
            b: plain(b),
            out,
            size: [n; 3],
            factors,
            result: factors,
            tf32: self.precision == Precision::Tf32,
            alpha: 1.0,
            beta: 0.0,
            runs: Runs::ONE,
        }
    }

    fn factors(&self) -> Number {
        if self.precision == Precision::Bf16 { Number::Bf16 } else { Number::F32 }
    }

    /// Rows of large matrices, chosen once.
    fn rows(&mut self) -> Result<usize, TrainError> {
        let chosen = match self.large[0] {
            Some(rows) => rows,
            None => long_enough(PEAK_ROWS, &|n| {
                let (_arena, places) = self.take(n * n * self.factors().bytes())?;
                self.second(&|| multiply(self.gpu, &self.product(n, places)))
            })?,
        };
        Ok(*self.large[0].insert(chosen))
    }

    /// Bytes of a long array, chosen once.
    fn bytes(&mut self) -> Result<usize, TrainError> {
        let chosen = match self.large[1] {
            Some(bytes) => bytes,
            None => long_enough(MEMORY_BYTES, &|bytes| {
                let (_arena, [from, to]) = self.take(bytes)?;
                self.second(&|| self.gpu.copy(to, from, bytes))
            })?,
        };
        Ok(*self.large[1].insert(chosen))
    }

    /// How long something takes the second time: the first may load what it needs.
    fn second(&self, once: &dyn Fn() -> Result<(), TrainError>) -> Result<Duration, TrainError> {
        once()?;
        self.gpu.synchronize()?;
        let begun = Instant::now();
        once()?;
        self.gpu.synchronize()?;
        Ok(begun.elapsed())
    }

    /// Gives `work` a product of matrices of at most so many rows, to be asked for as often as it likes, and their rows.
    fn with_large_product(
        &self,
        most: usize,
        work: &mut dyn FnMut(usize, Multiply<'_>) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let factors = self.factors();
        let (n, (_arena, places)) = largest([most, PEAK_ROWS[1]], &|n| self.take(n * n * factors.bytes()))?;
        for factor in &places[..2] {
            draw(self.gpu, *factor, n * n, factors)?;
        }
        let product = self.product(n, places);
        work(n, &|| multiply(self.gpu, &product))
    }
}

/// Seconds that the card takes for what is asked for.
fn seconds_of(program: &Program<'_>, work: &dyn Fn() -> Result<(), TrainError>) -> Result<f64, TrainError> {
    let begun = Instant::now();
    work()?;
    program.gpu().synchronize()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Fills a matrix with random numbers from -1 to 1. Products of zeros take less power, so that a card does them at a higher
/// clock than any training.
fn draw(gpu: &dyn Gpu, to: Address, count: usize, numbers: Number) -> Result<(), TrainError> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut drawn = Vec::new();
    for _ in 0..count.min(DRAWN) {
        // The upper bytes of an f32 are its bf16.
        drawn.extend_from_slice(&rng.random_range(-1.0_f32..1.0).to_le_bytes()[4 - numbers.bytes()..]);
    }
    for begin in (0..count * numbers.bytes()).step_by(drawn.len()) {
        let rest = count * numbers.bytes() - begin;
        gpu.upload(to + begin as u64, &drawn[..rest.min(drawn.len())])?;
    }
    Ok(())
}

impl<S: Seat> Bench for Stepper<'_, S> {
    /// Steps as they are trained, without a wait between them but where the host would be too far ahead. How they divide is
    /// measured in one step more, launch by launch, which waits after each phase.
    fn train(&mut self, about: Duration, steps: &mut dyn Iterator<Item = usize>) -> Result<Phases, TrainError> {
        let begun = Instant::now();
        let (mut done, mut asking, waited) = (0, Duration::ZERO, self.session.seat().waited());
        while begun.elapsed() < about {
            let before = Instant::now();
            for step in (&mut *steps).take(AT_ONCE) {
                engine::Session::step(&mut self.session, step)?;
            }
            asking += before.elapsed();
            done += AT_ONCE;
        }
        self.synchronize()?;
        let whole = begun.elapsed().as_secs_f64();
        let waited = self.session.seat().waited().zip(waited).map(|(now, before)| now.saturating_sub(before));
        self.host_share = waited.map(|waited| asking.saturating_sub(waited).as_secs_f64() / whole);
        let seconds = whole / done as f64;
        let apart = self.session.seat().with(|program| {
            // The optimizer's phase counts a step, which is none of the session's.
            let state = program.step_state()?;
            program.set_step_state(&StepState { step: 0, ..state })?;
            let mut apart = [0.0; 3];
            for (phase, taken) in Phase::ALL.into_iter().zip(&mut apart) {
                *taken = seconds_of(program, &|| program.phase(phase))?;
            }
            program.set_step_state(&state)?;
            Ok(apart)
        })?;
        let whole: f64 = apart.iter().sum();
        let [forward, backward, optimizer] = apart.map(|taken| seconds * taken / whole);
        Ok(Phases { data: 0.0, forward, backward, optimizer })
    }

    fn peak(&mut self, at_least: Duration) -> Result<f64, TrainError> {
        static SAID: Once = Once::new();
        let mut rate = f64::NAN;
        let chosen = self.rows()?;
        self.with_large_product(chosen, &mut |n, once| {
            once()?;
            self.gpu.synchronize()?;
            let (begun, mut products) = (Instant::now(), 0);
            while begun.elapsed() < at_least {
                for _ in 0..AT_ONCE {
                    once()?;
                }
                products += AT_ONCE;
                self.gpu.synchronize()?;
            }
            rate = products as f64 * 2.0 * (n as f64).powi(3) / begun.elapsed().as_secs_f64();
            if n < PEAK_ROWS[0] {
                SAID.call_once(|| {
                    tell!("the peak is of products of {n} rows: this card has no room for larger ones, or is slow");
                });
            }
            Ok(())
        })?;
        Ok(rate)
    }

    /// By a copy, which reads as much as it writes.
    fn memory_speed(&mut self, at_least: Duration) -> Result<Option<f64>, TrainError> {
        let sizes = [self.bytes()?, MEMORY_BYTES[1]];
        let (bytes, (_arena, [from, to])) = match largest(sizes, &|bytes| self.take(bytes)) {
            Ok(taken) => taken,
            Err(TrainError::OutOfMemory(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.gpu.synchronize()?;
        let (begun, mut moved) = (Instant::now(), 0);
        while begun.elapsed() < at_least {
            for _ in 0..AT_ONCE {
                self.gpu.copy(to, from, bytes)?;
            }
            moved += 2 * AT_ONCE * bytes;
            self.gpu.synchronize()?;
        }
        Ok(Some(moved as f64 / begun.elapsed().as_secs_f64()))
    }

    fn products(&mut self) -> Result<f64, TrainError> {
        self.session.seat().with(|program| {
            // The first time may load what it needs.
            seconds_of(program, &|| program.products())?;
            seconds_of(program, &|| program.products())
        })
    }

    /// Large products keep the card busy until the whole step waits in its queue: so no kernel waits for the CPU. Of runs that are
    /// stepped together nobody has the queue for himself.
    fn kernels(&mut self) -> Result<Vec<KernelTime>, TrainError> {
        let mut taken = Vec::new();
        let rows = self.rows()?;
        let this = &*self;
        let Some(program) = this.session.program() else { return Ok(Vec::new()) };
        let state = program.step_state()?;
        this.with_large_product(rows, &mut |_, once| {
            for _ in 0..TIMED {
                program.set_step_state(&StepState { step: 0, ..state })?;
                for _ in 0..AT_ONCE {
                    once()?;
                }
                taken.extend(this.gpu.time(&mut || program.train())?);
            }
            Ok(())
        })?;
        program.set_step_state(&state)?;
        Ok(KernelTime::of(taken.iter().map(|taken| (taken.kernel, taken.seconds)), TIMED))
    }

    fn host_share(&self) -> Option<f64> {
        self.host_share
    }

    fn card_memory(&self) -> Option<u64> {
        Some(self.session.bytes() as u64)
    }

    fn session(&mut self) -> &mut dyn engine::Session {
        &mut self.session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_grows_until_it_takes_long_or_there_is_no_room() {
        let at_speed = |speed: u64| move |size: usize| Ok(Duration::from_micros(size.pow(2) as u64 / speed));
        assert_eq!(long_enough(PEAK_ROWS, &at_speed(1 << 20)).unwrap(), 8192);
        assert_eq!(long_enough(PEAK_ROWS, &at_speed(10)).unwrap(), 512);
        assert_eq!(long_enough(PEAK_ROWS, &at_speed(1)).unwrap(), 128);
        let full = |size| if size > 300 { Err(TrainError::OutOfMemory("full".to_owned())) } else { Ok(Duration::ZERO) };
        assert_eq!(long_enough(PEAK_ROWS, &full).unwrap(), 512);
        let lost = |_| Err(TrainError::Device("lost".to_owned()));
        assert!(matches!(long_enough(PEAK_ROWS, &lost), Err(TrainError::Device(_))));
    }

    #[test]
    fn comparison_takes_as_much_as_there_is_room_for() {
        let take = |size| if size > 300 { Err(TrainError::OutOfMemory("full".to_owned())) } else { Ok(()) };
        assert_eq!(largest([1024, 64], &take).unwrap().0, 256);
        assert!(matches!(largest([1024, 512], &take), Err(TrainError::OutOfMemory(_))));
        let lost = |_| Err::<(), _>(TrainError::Device("lost".to_owned()));
        assert!(matches!(largest([1024, 64], &lost), Err(TrainError::Device(_))));
    }
}
