//! How fast this device trains a model, beside how fast it multiplies matrices.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::device;
use super::evaluation::evaluate;
use super::timing::{KernelTime, Phases, median};
use super::trainer::open_corpus;
use crate::model::Weight;
use crate::plan::{PlannedRun, Run};
use crate::trainer::TrainError;

/// What was measured of one model in one process. Rates and times are medians over rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Training tokens per second.
    pub tokens_per_second: f64,
    /// Training FLOPs per second, counted exactly.
    pub flops_per_second: f64,
    /// FLOPs per second of large f32 matrix products on as many threads.
    pub peak_flops_per_second: f64,
    /// The one over the other: the median of the ratio within each round, since a shared machine's speed wanders.
    pub share_of_peak: f64,
    /// Seconds of one step by phase.
    pub phases: Phases,
    /// Bytes per second that the device's memory reads and writes when nothing else is to be done; nothing on the CPU.
    pub memory_bytes_per_second: Option<f64>,
    /// Bytes that the optimizer must at least move, over its time, as a share of the one before: likewise within each round.
    pub share_of_memory_speed: Option<f64>,
    /// Share of a step that its matrix products take when they are all there is to do; likewise within each round.
    pub share_of_products: f64,
    /// Seconds from nothing to the end of the first step: the device is opened, the corpus read, weights are drawn.
    pub first_step: f64,
    /// Seconds of one evaluation.
    pub eval: f64,
    /// Most memory that the process ever held, in bytes; nothing where the system does not tell.
    pub peak_memory: Option<u64>,
    /// Bytes of the card's own memory that the run holds; nothing on the CPU.
    pub card_memory: Option<u64>,
    /// Share of the training time that the CPU was busy asking the card for it; nothing on the CPU.
    pub host_share: Option<f64>,
    /// What a step spends in each kernel, launched one by one, the longest first; empty where the device does not tell.
    pub kernels: Vec<KernelTime>,
}

/// Steps after the first and before the clock starts: kernels are compiled, buffers allocated, a step is recorded.
const WARMUP: usize = 2;

/// Length of the training part of a round; its large matrix products take a third of that.
const ROUND: Duration = Duration::from_millis(600);

/// Measures `run` for about `seconds`. Before each part of it `meet` is called, the first time when all is warm: what is
/// measured side by side waits there for the others, so that all of them train at the same time, and then multiply. Of `alike` runs in
/// this process the steps are taken together.
pub fn bench(
    (name, threads, alike): (&str, usize, usize),
    cache: &Path,
    run: &PlannedRun,
    seconds: f64,
    meet: &dyn Fn(),
) -> Result<Measurement, TrainError> {
    let begun = Instant::now();
    let engine = device::open(name, threads)?;
    let corpus = open_corpus(&run.run, cache)?;
    let mut bench = engine.measure(&run.run, &corpus, alike)?;
    // A run may be shorter than the benchmark: its schedule and its data then begin anew.
    let mut steps = (0..run.run.schedule.steps).cycle();
    bench.session().step(steps.next().expect("a step"))?;
    bench.session().losses()?;
    let first_step = begun.elapsed().as_secs_f64();
    for step in steps.by_ref().take(WARMUP) {
        bench.session().step(step)?;
    }
    bench.session().losses()?;
    let mut rounds = Vec::new();
    let mut memory = None;
    // A number that all have in common.
    let count = (seconds / (1.5 * ROUND.as_secs_f64())).ceil().max(1.0) as usize;
    while rounds.len() < count {
        meet();
        let phases = bench.train(ROUND, &mut steps)?;
        // Before the matrices of the comparison, which are not training's.
        if rounds.is_empty() {
            memory = peak_memory();
        }
        let host = bench.host_share();
        meet();
        let (peak, memory) = (bench.peak(ROUND / 3)?, bench.memory_speed(ROUND / 6)?);
        rounds.push(Round { phases, host, peak, memory, products: bench.products()? });
    }
    let kernels = bench.kernels()?;
    let before_eval = Instant::now();
    let _ = evaluate(bench.session(), &corpus, &run.run, &mut || ControlFlow::Continue(()))?;
    let eval = before_eval.elapsed().as_secs_f64();

    let over_rounds = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let over_some =
        |value: &dyn Fn(&Round) -> Option<f64>| rounds.iter().map(value).collect::<Option<Vec<f64>>>().map(median);
    let step_bytes = optimizer_bytes(&run.run);
    let tokens = run.run.tokens_per_step() as f64;
    let flops = tokens * run.flops_per_token.exact;
    let tokens_per_second = tokens / over_rounds(&|round| round.phases.total());
    Ok(Measurement {
        tokens_per_second,
        flops_per_second: tokens_per_second * run.flops_per_token.exact,
        peak_flops_per_second: over_rounds(&|round| round.peak),
        share_of_peak: over_rounds(&|round| flops / round.phases.total() / round.peak),
        phases: Phases {
            data: over_rounds(&|round| round.phases.data),
            forward: over_rounds(&|round| round.phases.forward),
            backward: over_rounds(&|round| round.phases.backward),
            optimizer: over_rounds(&|round| round.phases.optimizer),
        },
        memory_bytes_per_second: over_some(&|round| round.memory),
        share_of_memory_speed: over_some(&|round| Some(step_bytes / round.phases.optimizer / round.memory?)),
        share_of_products: over_rounds(&|round| round.products / round.phases.total()),
        first_step,
        eval,
        peak_memory: memory,
        card_memory: bench.card_memory(),
        host_share: over_some(&|round| round.host),
        kernels,
    })
}

/// What one round measured.
struct Round {
    phases: Phases,
    /// Share of it that the CPU was busy.
    host: Option<f64>,
    /// FLOP/s of large products.
    peak: f64,
    /// Bytes per second of copies.
    memory: Option<f64>,
    /// Seconds of a step's products alone.
    products: f64,
}

/// The peak of this process's resident memory, as Linux tells it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Bytes that an optimizer reads and writes at least: all that it keeps of a weight, and to read its gradient.
fn optimizer_bytes(run: &Run) -> f64 {
    let kind = run.optimizer.kind;
    let numbers = |weight: &Weight| (2 * kind.of(weight.role).part().keeps.len() + 1) as u64 * weight.count();
    run.shape.weights().iter().map(numbers).sum::<u64>() as f64 * size_of::<f32>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{OptimizerKind, RunOptimizer};

    #[test]
    fn adamw_moves_seven_numbers_of_each_parameter_and_sgd_five() {
        let planned = crate::plan::testing::small(|_| ());
        let numbers = |run: &Run| optimizer_bytes(run) / size_of::<f32>() as f64 / planned.params.total() as f64;
        assert!((numbers(&planned.run) - 7.0).abs() < 1e-12);
        let optimizer = RunOptimizer { kind: OptimizerKind::Sgd, ..planned.run.optimizer.clone() };
        assert!((numbers(&Run { optimizer, ..planned.run.clone() }) - 5.0).abs() < 1e-12);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_of_memory_never_falls() {
        let before = peak_memory().unwrap();
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        assert!(peak_memory().unwrap() >= before.max(64 << 20));
    }
}
