//! How many runs a card trains side by side, and whether they take their steps together: as many as its memory holds, and no more
//! than make it faster.

use std::fmt;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::device;
use super::engine::{Engine, Session};
use super::trainer::open_corpus;
use crate::data::Corpus;
use crate::plan::PlannedRun;
use crate::trainer::TrainError;
use crate::units::Tokens;

/// Numbers that are tried.
const TRIED: [usize; 5] = [1, 2, 4, 8, 16];

/// For how long each of them trains.
const EACH: Duration = Duration::from_millis(700);

/// Steps of each run before the clock starts: kernels are loaded, a step is recorded as a graph.
const WARMUP: usize = 3;

/// Steps between two looks at the clock.
const AT_ONCE: usize = 4;

/// The smallest number that reaches this share of the best rate is taken: each run more takes memory.
const GOOD_ENOUGH: f64 = 0.95;

/// Share of the free memory that runs may take. The rest is for what others do on the card meanwhile.
const SHARE_OF_MEMORY: f64 = 0.9;

/// Bytes of a run besides its model: workspace of products, recorded steps, the driver's own.
const BESIDES: usize = 96 << 20;

/// How many runs are trained side by side, and what that rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct SideBySide {
    /// Runs of the largest model that the memory holds.
    pub fits: usize,
    /// Tokens per second of so many runs of the smallest model, each with steps of its own.
    pub rates: Vec<(usize, f64)>,
    /// The same of runs that are stepped together.
    pub together: Vec<(usize, f64)>,
}

/// What is trained at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Runs.
    pub runs: usize,
    /// Whether runs of one form are stepped together.
    pub together: bool,
}

impl SideBySide {
    /// Measures on an open device; `most` runs are wanted at most, and are stepped together, or not, or as is faster.
    pub fn measure(
        name: &str,
        cache: &Path,
        [smallest, largest]: [&PlannedRun; 2],
        (most, together): (usize, Option<bool>),
    ) -> Result<Self, TrainError> {
        let engine = device::open(name, 1)?;
        let fits = fits(engine.as_ref(), largest, &open_corpus(&largest.run, cache)?)?;
        let corpus = open_corpus(&smallest.run, cache)?;
        let rates = |counts: &[usize], together: bool| {
            let mut rates = Vec::new();
            for count in counts.iter().copied().filter(|count| *count <= fits.min(most)) {
                match rate(&|| device::open(name, 1), (smallest, &corpus), count, together) {
                    Ok(rate) => rates.push((count, rate)),
                    // The sweep finds out by itself what fails with one run.
                    Err(TrainError::OutOfMemory(_)) => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(rates)
        };
        let apart = if together == Some(true) { &TRIED[..1] } else { &TRIED };
        let at_once = if together == Some(false) { &[] } else { &TRIED[1..] };
        Ok(Self { fits, rates: rates(apart, false)?, together: rates(at_once, true)? })
    }

    /// What to train side by side: the smallest number that is nearly as fast as the best, with steps of their own where those
    /// are as fast.
    pub fn chosen(&self) -> Chosen {
        let of = |rates: &[(usize, f64)], together| {
            rates.iter().map(|(runs, rate)| (Chosen { runs: *runs, together }, *rate)).collect::<Vec<_>>()
        };
        let mut all = [of(&self.rates, false), of(&self.together, true)].concat();
        all.sort_by_key(|(chosen, _)| chosen.runs);
        let best = all.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let good = all.iter().find(|(_, rate)| *rate >= GOOD_ENOUGH * best);
        good.map_or(Chosen { runs: 1, together: false }, |(chosen, _)| *chosen)
    }
}

impl fmt::Display for SideBySide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |rates: &[(usize, f64)], how: &str| {
            let told = |(count, rate): &(usize, f64)| format!("{count}{how}: {} tokens/s", Tokens(*rate));
            rates.iter().map(told).collect::<Vec<_>>()
        };
        let rates = [told(&self.rates, ""), told(&self.together, " together")].concat();
        let measured = if rates.is_empty() { "nothing measured".to_owned() } else { rates.join(", ") };
        let Chosen { runs, together } = self.chosen();
        let how = if together { " with their steps together" } else { "" };
        write!(f, "{runs}{how} (smallest model, {measured}; memory holds {} of the largest)", self.fits)
    }
}

/// Runs of a model that the free memory holds, by what one of them takes.
fn fits(engine: &dyn Engine, largest: &PlannedRun, corpus: &Corpus) -> Result<usize, TrainError> {
    let Some(before) = engine.free_memory()? else { return Ok(1) };
    let after = match engine.begin(&largest.run, corpus, 1) {
        Ok(_held) => engine.free_memory()?.unwrap_or(before),
        // Its turn comes in the sweep, with smaller micro-batches.
        Err(TrainError::OutOfMemory(_)) => return Ok(1),
        Err(error) => return Err(error),
    };
    let each = before.saturating_sub(after) + BESIDES;
    Ok(((before as f64 * SHARE_OF_MEMORY) as usize / each).max(1))
}

/// Opens the device once more.
type Open<'a> = &'a (dyn Fn() -> Result<Box<dyn Engine>, TrainError> + Sync);

/// Tokens per second of `count` runs at once, each on a thread of its own, and on a stream of its own unless they are stepped
/// together.
fn rate(
    open: Open<'_>,
    (planned, corpus): (&PlannedRun, &Corpus),
    count: usize,
    together: bool,
) -> Result<f64, TrainError> {
    let alike = if together { count } else { 1 };
    let line = Barrier::new(count);
    let one = || {
        // All wait here, also those that could not begin or panicked, so that nobody waits for them.
        let ready = AtLine(&line);
        let engine = open();
        let begun =
            engine.as_ref().map_err(TrainError::clone).and_then(|engine| warm(engine.as_ref(), planned, corpus, alike));
        drop(ready);
        let mut session = begun?;
        let clock = Instant::now();
        let mut steps = 0;
        let all = planned.run.schedule.steps;
        while clock.elapsed() < EACH {
            for _ in 0..AT_ONCE {
                session.step((WARMUP + steps) % all)?;
                steps += 1;
            }
        }
        // The card is behind, by no more than an engine lets it be.
        session.losses()?;
        Ok((steps * planned.run.tokens_per_step()) as f64 / clock.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let runs: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        let panicked = |_| Err(TrainError::Device("what drives it panicked, as is said above".to_owned()));
        runs.into_iter().map(|run| run.join().unwrap_or_else(panicked)).sum()
    })
}

/// Waits for the others when it goes, however that comes about.
struct AtLine<'a>(&'a Barrier);

impl Drop for AtLine<'_> {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// A run whose first steps are done.
fn warm<'a>(
    engine: &'a dyn Engine,
    planned: &'a PlannedRun,
    corpus: &'a Corpus,
    alike: usize,
) -> Result<Box<dyn Session + 'a>, TrainError> {
    let mut session = engine.begin_among(&planned.run, corpus, (1, alike))?;
    for step in 0..WARMUP {
        session.step(step % planned.run.schedule.steps)?;
    }
    session.losses()?;
    Ok(session)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "cuda")]
    use crate::train::cuda::testing::{card, emulated, small};
    #[cfg(feature = "cuda")]
    use crate::train::engine::take_mean_loss;

    #[test]
    #[cfg(feature = "cuda")]
    fn runs_side_by_side_in_one_process_have_the_bits_of_runs_alone() {
        if card().is_none() {
            return;
        }
        let runs: Vec<_> = (0..3).map(|depth| small(|spec| spec.model.depth = Some(1 + depth))).collect();
        let train = |(planned, corpus): &(PlannedRun, Corpus)| {
            let card = card().expect("a card for each thread");
            let mut session = card.begin(&planned.run, corpus, 1).unwrap();
            let mut loss = |step| {
                session.step(step).unwrap();
                take_mean_loss(session.as_mut()).unwrap().to_bits()
            };
            (0..4).map(&mut loss).collect::<Vec<_>>()
        };
        let alone: Vec<_> = runs.iter().map(train).collect();
        let together: Vec<_> = thread::scope(|scope| {
            let train = &train;
            let threads: Vec<_> = runs.iter().map(|run| scope.spawn(move || train(run))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(together, alone);
        assert_ne!(alone[0], alone[1]);
    }

    #[test]
    #[cfg(feature = "cuda")]
    fn memory_and_speed_of_a_card_are_measured_and_a_model_that_fills_it_is_trained_alone() {
        let Some(card) = emulated() else { return };
        let (planned, corpus) = small(|_| ());
        assert!(fits(&card, &planned, &corpus).unwrap() > 4);
        let mut large = planned.clone();
        (large.run.shape.width, large.run.shape.heads, large.run.shape.depth) = (512, 64, 3);
        assert!((1..4).contains(&fits(&card, &large, &corpus).unwrap()));
        (large.run.shape.width, large.run.shape.heads, large.run.shape.depth) = (1024, 128, 6);
        assert_eq!(fits(&card, &large, &corpus).unwrap(), 1, "it does not fit at all");
        let open: Open<'_> = &|| Ok(Box::new(crate::train::cuda::testing::card().expect("a card")));
        for count in [1, 2] {
            assert!(rate(open, (&planned, &corpus), count, false).unwrap() > 0.0);
            assert!(rate(open, (&planned, &corpus), count, true).unwrap() > 0.0);
        }
        let full = rate(open, (&large, &corpus), 2, false).unwrap_err();
        assert!(matches!(full, TrainError::OutOfMemory(_)), "{full}");
        let closed = rate(&|| Err(TrainError::Device("gone".to_owned())), (&planned, &corpus), 2, true).unwrap_err();
        assert!(matches!(closed, TrainError::Device(_)), "{closed}");
        let first = std::sync::atomic::AtomicBool::new(true);
        let panics: Open<'_> = &|| {
            assert!(!first.swap(false, std::sync::atomic::Ordering::SeqCst), "the first one panics");
            Ok(Box::new(crate::train::cuda::testing::card().expect("a card")))
        };
        let panicked = rate(panics, (&planned, &corpus), 2, false).unwrap_err().to_string();
        assert!(panicked.contains("panicked"), "{panicked}");
    }

    #[test]
    fn the_smallest_number_is_taken_that_is_nearly_as_fast_as_the_best() {
        let both = |rates: &[(usize, f64)], together: &[(usize, f64)]| SideBySide {
            fits: 40,
            rates: rates.to_vec(),
            together: together.to_vec(),
        };
        let of = |rates: &[(usize, f64)]| both(rates, &[]);
        let runs = |measured: &SideBySide| measured.chosen().runs;
        // What a probe of an H200 saw at shape a, and PyTorch's graph.
        let probe = of(&[(1, 5.0e6), (2, 7.05e6), (4, 7.7e6), (8, 8.0e6), (16, 11.85e6)]);
        let torch = of(&[(1, 5.0e6), (2, 6.95e6), (4, 10.1e6), (8, 13.0e6), (16, 12.05e6)]);
        assert_eq!([runs(&probe), runs(&torch), runs(&of(&[]))], [16, 8, 1]);
        let full = [(1, 1.0), (2, 1.01), (4, 1.02)];
        assert_eq!(runs(&of(&full)), 1, "a card that one run fills");
        // Made up: no card has shown it yet.
        let together = both(&probe.rates, &[(2, 1.0e7), (4, 1.9e7), (8, 2.4e7), (16, 2.45e7)]);
        assert_eq!(together.chosen(), Chosen { runs: 8, together: true });
        assert!(together.to_string().starts_with("8 with their steps together ("), "{together}");
        let as_fast = both(&full, &[(2, 1.04), (4, 1.05)]);
        assert_eq!(as_fast.chosen(), Chosen { runs: 1, together: false });
        let said = probe.to_string();
        assert!(said.starts_with("16 (") && said.contains("2: 7.05M tokens/s") && said.contains("40 of"), "{said}");
        assert!(of(&[]).to_string().contains("nothing measured"));
    }
}
