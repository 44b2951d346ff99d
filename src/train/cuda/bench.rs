//! The benchmark on a card.

use std::time::{Duration, Instant};

use super::gpu::{Factor, Gpu, Number, Product};
use super::layout::Arena;
use super::program::Phase;
use super::session::Session;
use super::step::multiply;
use crate::data::Corpus;
use crate::plan::Run;
use crate::spec::Precision;
use crate::train::engine;
use crate::train::engine::Bench;
use crate::train::timing::Phases;
use crate::trainer::TrainError;

/// Rows of the matrices whose product shows what the card can do at best.
const PEAK_ROWS: usize = 8192;

/// Products, or steps, between two looks at the clock.
const AT_ONCE: usize = 8;

/// A run that is measured.
pub struct Stepper<'a> {
    gpu: &'a dyn Gpu,
    precision: Precision,
    session: Session<'a>,
}

impl<'a> Stepper<'a> {
    /// A run of which nothing is done.
    pub fn new(gpu: &'a dyn Gpu, run: &'a Run, corpus: &'a Corpus) -> Result<Self, TrainError> {
        Ok(Self { gpu, precision: run.precision, session: Session::new(gpu, run, corpus, 1)? })
    }

    fn wait(&self, begun: Instant) -> Result<f64, TrainError> {
        self.gpu.synchronize()?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

impl Bench for Stepper<'_> {
    /// Steps as they are trained, without a wait between them. How they divide is measured in one step more, launch by
    /// launch, which waits after each phase. Sampling goes on while the card works.
    fn train(&mut self, about: Duration, steps: &mut dyn Iterator<Item = usize>) -> Result<Phases, TrainError> {
        let begun = Instant::now();
        let mut done = 0;
        while begun.elapsed() < about {
            for step in (&mut *steps).take(AT_ONCE) {
                engine::Session::step(&mut self.session, step)?;
            }
            done += AT_ONCE;
            // Without a look at it the card may fall far behind, and the last wait would be long.
            if done % (8 * AT_ONCE) == 0 {
                self.gpu.synchronize()?;
            }
        }
        let seconds = self.wait(begun)? / done as f64;
        let mut apart = [0.0; 3];
        for (phase, taken) in Phase::ALL.into_iter().zip(&mut apart) {
            let begun = Instant::now();
            self.session.program().phase(phase)?;
            *taken = self.wait(begun)?;
        }
        let whole: f64 = apart.iter().sum();
        let [forward, backward, optimizer] = apart.map(|taken| seconds * taken / whole);
        Ok(Phases { data: 0.0, forward, backward, optimizer })
    }

    fn peak(&mut self, at_least: Duration) -> Result<f64, TrainError> {
        let n = if self.gpu.card().driver == "emulator" { 64 } else { PEAK_ROWS };
        let factors = if self.precision == Precision::Bf16 { Number::Bf16 } else { Number::F32 };
        let arena = Arena::new(self.gpu);
        let [a, b, out] =
            [arena.numbers(n * n, factors)?, arena.numbers(n * n, factors)?, arena.numbers(n * n, factors)?];
        let plain = |at| Factor { at, transposed: false };
        let product = Product {
            a: plain(a),
            b: plain(b),
            out,
            size: [n; 3],
            factors,
            result: factors,
            tf32: self.precision == Precision::Tf32,
            alpha: 1.0,
            beta: 0.0,
        };
        let once = || multiply(self.gpu, &product);
        once()?;
        self.gpu.synchronize()?;
        let begun = Instant::now();
        let mut products = 0;
        while begun.elapsed() < at_least {
            for _ in 0..AT_ONCE {
                once()?;
            }
            products += AT_ONCE;
            self.gpu.synchronize()?;
        }
        Ok(products as f64 * 2.0 * (n as f64).powi(3) / begun.elapsed().as_secs_f64())
    }

    fn products(&mut self) -> Result<f64, TrainError> {
        let program = self.session.program();
        program.products()?;
        self.gpu.synchronize()?;
        let begun = Instant::now();
        program.products()?;
        self.wait(begun)
    }

    fn session(&mut self) -> &mut dyn engine::Session {
        &mut self.session
    }
}
