//! How fast a device trains models of different sizes, to turn FLOPs into hours.

use std::path::Path;

use crate::memory;
use crate::plan::{Plan, PlannedRun};

/// Sustained training FLOP/s of one slot by the number of parameters: small models keep a device less busy.
pub struct Throughput {
    /// Parameters and FLOP/s, ascending; empty where nothing is known.
    points: Vec<(f64, f64)>,
}

impl Throughput {
    /// The same speed at every size.
    pub fn constant(flops_per_second: f64) -> Self {
        Self { points: vec![(1.0, flops_per_second)] }
    }

    /// Nothing is known.
    pub fn unknown() -> Self {
        Self { points: Vec::new() }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.points.is_empty()
    }

    /// Measures the smallest, the middle and the largest model of a plan, each for about a second, on one thread.
    pub fn measure(device: &str, cache: &Path, plan: &Plan) -> anyhow::Result<Self> {
        if device == crate::execute::rehearsal::DEVICE {
            return Ok(Self::unknown());
        }
        // Its models are not ours, nor is its speed, where it trains shapes of ours.
        if plan.runs.iter().any(|planned| planned.run.program.is_some()) {
            tell!(
                "hours: the speed of a program is not measured; give --flops-per-second, the sustained FLOP/s of one slot"
            );
            return Ok(Self::unknown());
        }
        let most = plan.runs.iter().map(|planned| planned.run.state_bytes()).max().unwrap_or_default();
        // A card says by itself what it has not.
        if let Some(lacks) = memory::lacks(most).filter(|_| device == "cpu") {
            tell!("hours: the speed is not measured, since the largest model takes {lacks}; give --flops-per-second");
            return Ok(Self::unknown());
        }
        Self::of_models(device, cache, plan)
    }

    #[cfg(feature = "train")]
    fn of_models(device: &str, cache: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let mut by_size: Vec<&PlannedRun> = plan.runs.iter().collect();
        by_size.sort_by_key(|planned| planned.params.total());
        by_size.dedup_by_key(|planned| planned.params.total());
        let Some(last) = by_size.len().checked_sub(1) else { return Ok(Self::unknown()) };
        let mut chosen = vec![0, last / 2, last];
        chosen.dedup();
        let mut points = Vec::new();
        for index in chosen {
            let planned = by_size[index];
            let rate = crate::train::throughput(device, cache, 1, planned)?;
            tell!("measured: {:.1e} FLOP/s at width {}", rate, planned.run.shape.width);
            points.push((planned.params.total() as f64, rate));
        }
        Ok(Self { points })
    }

    /// Without a device there is nothing to measure.
    #[cfg(not(feature = "train"))]
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as with a device, where measuring may fail")]
    fn of_models(_: &str, _: &Path, _: &Plan) -> anyhow::Result<Self> {
        tell!("hours: this build cannot train; give --flops-per-second, the sustained FLOP/s of one slot");
        Ok(Self::unknown())
    }

    /// Seconds of one run, its evaluation included; NaN where the speed is not known.
    pub fn seconds(&self, planned: &PlannedRun) -> f64 {
        // A forward pass is a third of training.
        let evaluation = planned.run.eval.tokens as f64 * planned.flops_per_token.exact / 3.0;
        (planned.flops_spent() + evaluation) / self.rate(planned.params.total() as f64)
    }

    /// FLOP/s at a number of parameters: a straight line in its logarithm between measurements, constant outside.
    fn rate(&self, params: f64) -> f64 {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else { return f64::NAN };
        if params <= first.0 {
            return first.1;
        }
        let between = self.points.windows(2).find(|pair| params <= pair[1].0);
        between.map_or(last.1, |pair| {
            let ((low, slow), (high, fast)) = (pair[0], pair[1]);
            slow + (fast - slow) * (params / low).ln() / (high / low).ln()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_interpolated_in_the_logarithm_of_the_size() {
        let throughput = Throughput { points: vec![(1e4, 1e9), (1e6, 3e9)] };
        for (params, rate) in [(1e3, 1e9), (1e4, 1e9), (1e5, 2e9), (1e6, 3e9), (1e8, 3e9)] {
            assert!((throughput.rate(params) / rate - 1.0).abs() < 1e-12, "{params}");
        }
        assert!(Throughput { points: Vec::new() }.rate(1e5).is_nan());
    }
}
