//! The learning rate over a run, as a share of its peak.

use std::f64::consts::PI;

use crate::plan::RunSchedule;
use crate::spec::{Cooldown, ScheduleKind};

/// Learning rates of all steps of a run, as shares of the peak: see [`share_of_peak`].
#[cfg(feature = "cuda")]
pub fn shares_of_peak(schedule: &RunSchedule) -> Vec<f32> {
    (0..schedule.steps).map(|step| share_of_peak(schedule, step) as f32).collect()
}

/// Learning rate at `step` (from 0), as a share of the peak: linear warm-up, the peak, then the decay that ends at
/// the floor with the last step, or would have if the run were not cut short.
pub fn share_of_peak(schedule: &RunSchedule, step: usize) -> f64 {
    if step < schedule.warmup_steps {
        return (step + 1) as f64 / schedule.warmup_steps as f64;
    }
    let end = schedule.steps.max(schedule.warmup_steps + schedule.decay_steps);
    let left = end.saturating_sub(step + 1);
    // 0 before the decay begins, 1 at the last step.
    let decayed = 1.0 - (left as f64 / schedule.decay_steps.max(1) as f64).min(1.0);
    let falling = match schedule.kind {
        ScheduleKind::Constant => return 1.0,
        ScheduleKind::Cosine => f64::midpoint(1.0, (PI * decayed).cos()),
        ScheduleKind::Wsd => match schedule.cooldown {
            Cooldown::Linear => 1.0 - decayed,
            // Hägele et al. 2024 (arXiv 2405.18392), section 3.
            Cooldown::OneMinusSqrt => 1.0 - decayed.sqrt(),
        },
    };
    schedule.floor + (1.0 - schedule.floor) * falling
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind, decay_steps: usize) -> RunSchedule {
        RunSchedule { kind, floor: 0.1, warmup_steps: 10, decay_steps, steps: 110, cooldown: Cooldown::Linear }
    }

    #[test]
    fn cosine_rises_to_the_peak_and_ends_at_the_floor() {
        let cosine = schedule(ScheduleKind::Cosine, 100);
        let at = |step| share_of_peak(&cosine, step);
        assert!((at(0) - 0.1).abs() < 1e-12);
        assert!((at(9) - 1.0).abs() < 1e-12);
        assert!((at(59) - 0.55).abs() < 1e-12, "half-way down at half the decay: {}", at(59));
        assert!((at(109) - 0.1).abs() < 1e-12);
        assert!((10..109).all(|step| at(step + 1) < at(step)));
    }

    #[test]
    fn a_cosine_cut_short_is_the_beginning_of_the_long_one() {
        let short = schedule(ScheduleKind::Cosine, 400);
        let long = RunSchedule { steps: 410, ..short.clone() };
        assert!((0..110).all(|step| share_of_peak(&short, step).to_bits() == share_of_peak(&long, step).to_bits()));
        assert!((share_of_peak(&long, 209) - 0.55).abs() < 1e-12);
        assert!(share_of_peak(&short, 109) > 0.8);
    }

    #[test]
    fn wsd_stays_at_the_peak_until_its_decay() {
        let wsd = schedule(ScheduleKind::Wsd, 20);
        assert!((10..90).all(|step| (share_of_peak(&wsd, step) - 1.0).abs() < 1e-12));
        assert!((share_of_peak(&wsd, 99) - 0.55).abs() < 1e-12);
        assert!((share_of_peak(&wsd, 109) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_cooldown_of_1_minus_sqrt_falls_fast_at_first_and_ends_where_the_linear_one_does() {
        let linear = schedule(ScheduleKind::Wsd, 20);
        let root = RunSchedule { cooldown: Cooldown::OneMinusSqrt, ..linear.clone() };
        // A quarter of the decay done: half of the way down from 1 to 0.1.
        assert!((share_of_peak(&root, 94) - 0.55).abs() < 1e-12);
        assert!((90..109).all(|step| share_of_peak(&root, step) < share_of_peak(&linear, step)));
        for step in (0..90).chain([109]) {
            assert_eq!(share_of_peak(&root, step).to_bits(), share_of_peak(&linear, step).to_bits());
        }
    }

    #[test]
    fn constant_never_decays() {
        let constant = schedule(ScheduleKind::Constant, 0);
        assert!((10..110).all(|step| (share_of_peak(&constant, step) - 1.0).abs() < 1e-12));
    }
}
