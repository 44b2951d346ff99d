//! From values to places on the canvas, and the ticks between.

use super::text::px;
use crate::report::figure::{Axis, Unit};

/// The least range of a logarithmic axis, as a factor: it always holds two ticks.
const LEAST_FACTOR: f64 = 12.0;
/// The same for losses, whose axis has ticks within a decade.
const LEAST_LOSS_FACTOR: f64 = 1.2;

/// Where values lie along one axis.
pub struct Scale {
    unit: Unit,
    log: bool,
    /// Ends of the domain; logarithms on a logarithmic axis.
    domain: [f64; 2],
    /// The places of both ends; descending for a vertical axis, whose values grow upwards.
    places: [f64; 2],
}

/// A labelled place on an axis.
#[derive(Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub place: f64,
    /// The number.
    pub label: String,
}

impl Scale {
    /// An axis that shows all `values`, and of `intervals` as much as does not squash the values. None where no value
    /// can be shown.
    pub fn new(axis: &Axis, values: &[f64], intervals: &[f64], places: [f64; 2]) -> Option<Self> {
        let &Axis { unit, log, .. } = axis;
        let [low, high] = extent(log, values)?;
        // An interval may reach to the end of the world: it is cut one decade, or one range, beyond the values.
        let reach = if log { 1.0 } else { high - low };
        let ends = extent(log, intervals).unwrap_or([low, high]);
        let [low, high] = [low.min(ends[0].max(low - reach)), high.max(ends[1].min(high + reach))];
        let least = if unit == Unit::Loss && log {
            // Losses are never far from each other.
            LEAST_LOSS_FACTOR.log10()
        } else if log {
            LEAST_FACTOR.log10()
        } else {
            1e-3 * low.abs().max(high.abs()).max(1e-3)
        };
        let span = (high - low).max(least);
        if !span.is_finite() {
            return None;
        }
        let middle = f64::midpoint(low, high);
        let padding = if log && span <= least { 0.5 } else { 0.56 };
        Some(Self { unit, log, domain: [middle - padding * span, middle + padding * span], places })
    }

    /// Where a value lies, or nothing for a value that the axis cannot show.
    pub fn place(&self, value: f64) -> Option<f64> {
        transform(self.log, value).map(|x| self.at(x))
    }

    /// The same, kept within the axis.
    pub fn clamped(&self, value: f64) -> Option<f64> {
        let [a, b] = self.places;
        self.place(value).map(|x| x.clamp(a.min(b), a.max(b)))
    }

    /// Ticks at round numbers, as many as keep their distance: `needed` tells how much room a label takes.
    pub fn ticks(&self, needed: impl Fn(&str) -> f64) -> Vec<Tick> {
        let [low, high] = self.domain;
        let choices = match self.log {
            false => self.linear_choices([low, high]),
            // Over less than a decade round numbers are those of a linear axis.
            true if high - low < 1.0 => self.linear_choices([low, high].map(|x| 10f64.powf(x))),
            true => self.log_choices(),
        };
        let fits = |ticks: &Vec<Tick>| {
            ticks.windows(2).all(|w| {
                let room = f64::midpoint(needed(&w[0].label), needed(&w[1].label));
                (w[1].place - w[0].place).abs() >= room
            })
        };
        choices.into_iter().map(|values| self.label(&values)).find(fits).unwrap_or_default()
    }

    fn linear_label(&self, value: f64, decimals: usize) -> String {
        match self.unit {
            Unit::Count | Unit::Flops if value == 0.0 => "0".to_owned(),
            Unit::Count | Unit::Flops => self.unit.print(value),
            Unit::Difference if value > 0.0 => format!("+{}", decimal(value, decimals)),
            Unit::Loss | Unit::Difference => decimal(value, decimals),
        }
    }

    /// Logarithmic or not, and the domain and the places of its ends: what a script needs to read values off.
    pub fn ruler(&self) -> String {
        let [[a, b], [c, d]] = [self.domain, self.places];
        format!("{} {a} {b} {} {}", if self.log { "log" } else { "linear" }, px(c), px(d))
    }

    fn at(&self, x: f64) -> f64 {
        let [low, high] = self.domain;
        self.places[0] + (self.places[1] - self.places[0]) * (x - low) / (high - low)
    }

    fn label(&self, values: &[(f64, String)]) -> Vec<Tick> {
        let inside = |value: f64| transform(self.log, value).filter(|x| (self.domain[0]..=self.domain[1]).contains(x));
        let tick =
            |(value, label): &(f64, String)| Some(Tick { place: self.at(inside(*value)?), label: label.clone() });
        values.iter().filter_map(tick).collect()
    }

    /// Densest first: 1-2-5 in each decade, 1-3, then whole decades, ever fewer.
    fn log_choices(&self) -> Vec<Vec<(f64, String)>> {
        let [first, last] = [self.domain[0].floor() as i32, self.domain[1].ceil() as i32];
        let choice = |mantissas: &[i32], every: i32| {
            let decades = (first..=last).filter(|e| e.rem_euclid(every) == 0);
            let value = |m: i32, e: i32| {
                // By way of the text, so that 3e-2 is the number that reads 0.03.
                let value: f64 = format!("{m}e{e}").parse().unwrap_or(f64::NAN);
                (value, self.unit.print(value))
            };
            decades.flat_map(|e| mantissas.iter().map(move |m| value(*m, e))).collect()
        };
        // Budgets are customarily 1 and 3 times a power of ten.
        let dense: &[i32] = if self.unit == Unit::Flops { &[1, 3] } else { &[1, 2, 5] };
        let mut choices = vec![choice(dense, 1), choice(&[1, 3], 1)];
        choices.extend([1, 2, 3, 4, 5, 10, 20, 50, 100].map(|every| choice(&[1], every)));
        choices
    }

    /// Densest first: steps of 1, 2 and 5 times a power of ten.
    fn linear_choices(&self, [low, high]: [f64; 2]) -> Vec<Vec<(f64, String)>> {
        let start = (high - low).log10().floor() as i32 - 2;
        let steps = (start..start + 5).flat_map(|e| [1, 2, 5].map(|m| (m, e)));
        let choice = |(m, e): (i32, i32)| {
            let step = f64::from(m) * 10f64.powi(e);
            let decimals = usize::try_from(-e).unwrap_or(0);
            let [first, last] = [(low / step).ceil() as i64, (high / step).floor() as i64];
            (first..=last).map(|i| i as f64 * step).map(|v| (v, self.linear_label(v, decimals))).collect()
        };
        steps.map(choice).collect()
    }
}

/// A number of a linear axis; a huge one, which no sound loss is, in short.
fn decimal(value: f64, decimals: usize) -> String {
    if value.abs() < 1e6 { format!("{value:.decimals$}") } else { format!("{value:.2e}") }
}

/// The coordinate that is linear along the axis.
fn transform(log: bool, value: f64) -> Option<f64> {
    let x = if log { value.log10() } else { value };
    x.is_finite().then_some(x)
}

fn extent(log: bool, values: &[f64]) -> Option<[f64; 2]> {
    let mut shown = values.iter().filter_map(|v| transform(log, *v));
    let first = shown.next()?;
    Some(shown.fold([first, first], |[low, high], x| [low.min(x), high.max(x)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(unit: Unit, values: &[f64], intervals: &[f64], places: [f64; 2]) -> Option<Scale> {
        Scale::new(&Axis::new("", unit), values, intervals, places)
    }

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks(|label| 7.0 * label.len() as f64 + 10.0).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn a_logarithmic_axis_has_round_ticks() {
        let flops = new(Unit::Flops, &[1e12, 3e12, 1e13], &[], [0.0, 600.0]).unwrap();
        assert_eq!(labels(&flops), ["1e12", "3e12", "1e13"]);
        let params = new(Unit::Count, &[9e4, 2.2e6], &[], [0.0, 600.0]).unwrap();
        assert_eq!(labels(&params), ["100k", "200k", "500k", "1M", "2M"]);
        let decades = new(Unit::Count, &[1.0, 1e40], &[], [0.0, 300.0]).unwrap();
        assert!((2..12).contains(&labels(&decades).len()));
    }

    #[test]
    fn an_axis_the_other_way_has_round_ticks_as_well() {
        let axis = |unit: Unit| Axis { log: !unit.is_log(), ..Axis::new("", unit) };
        let losses = Scale::new(&axis(Unit::Loss), &[3.1, 7.2], &[], [0.0, 300.0]).unwrap();
        assert_eq!(labels(&losses), ["3", "4", "5", "6", "7"]);
        let params = Scale::new(&axis(Unit::Count), &[2e4, 1e6], &[], [0.0, 300.0]).unwrap();
        assert_eq!(labels(&params), ["0", "200k", "400k", "600k", "800k", "1M"]);
        let ruler: Vec<f64> = params.ruler().split(' ').skip(1).map(|x| x.parse().unwrap()).collect();
        assert!(
            params.ruler().starts_with("linear ")
                && (ruler[0] + 38_800.0).abs() < 1.0
                && (ruler[3] - 300.0).abs() < 1e-9
        );
    }

    #[test]
    fn ticks_keep_their_distance_on_a_narrow_axis() {
        let scale = new(Unit::Count, &[9e4, 2.2e6], &[], [0.0, 120.0]).unwrap();
        assert_eq!(labels(&scale), ["100k", "1M"]);
    }

    #[test]
    fn a_linear_axis_prints_the_decimals_of_its_step() {
        let scale = new(Unit::Loss, &[3.0, 3.4], &[], [0.0, 300.0]).unwrap();
        assert_eq!(labels(&scale), ["3.0", "3.1", "3.2", "3.3", "3.4"]);
    }

    #[test]
    fn one_value_lies_in_the_middle() {
        for unit in [Unit::Count, Unit::Loss] {
            let scale = new(unit, &[3.0], &[], [0.0, 300.0]).unwrap();
            assert!((scale.place(3.0).unwrap() - 150.0).abs() < 1e-9);
            assert!(labels(&scale).len() >= 2, "{:?}", labels(&scale));
        }
    }

    #[test]
    fn an_endless_interval_does_not_squash_the_values() {
        let scale = new(Unit::Count, &[1e5, 1e6], &[1e-30, f64::INFINITY], [0.0, 300.0]).unwrap();
        assert!(scale.place(1e6).unwrap() - scale.place(1e5).unwrap() > 100.0);
        assert_eq!(scale.clamped(1e-30), Some(0.0));
    }

    #[test]
    fn values_that_an_axis_cannot_show_have_no_place() {
        assert!(new(Unit::Count, &[0.0, -1.0, f64::NAN], &[], [0.0, 1.0]).is_none());
        let scale = new(Unit::Count, &[1.0], &[], [0.0, 1.0]).unwrap();
        assert_eq!(scale.place(f64::NAN), None);
        assert_eq!(scale.place(0.0), None);
    }
}
