//! Statuses, conventions and estimates in words.

use crate::fit::approaches::headline;
use crate::fit::approaches::optimal::TokensPerParam;
use crate::fit::{Estimate, Status};
use crate::observation::Counting;
use crate::units::{Flops, Params, count};

/// What is counted as a parameter, in words.
pub const fn counting(counting: Counting) -> &'static str {
    headline::counted(counting)
}

/// What a reader should look for in a figure, by its name; nothing for a figure whose note says it.
pub fn what_to_see(figure: &str) -> &'static str {
    match figure {
        "isoflop" => {
            "The minimum of each curve is the best size for that compute; it should be inside the range of sizes that \
             were trained."
        }
        "isoflop_tokens" => {
            "The same runs against training tokens: the minimum of each curve is the best number of tokens."
        }
        "optimal" => {
            "More compute should go mainly to the quantity with the steeper line; parallel lines mean a constant ratio."
        }
        "tokens_per_param" => {
            "A level line means the same ratio at every budget, a falling line relatively larger models, a rising line \
             relatively more tokens."
        }
        "surface" => "Contours of equal loss; the line along the valley shows the best model for each compute.",
        "residuals" => "Points scattered around zero mean that the law holds; a pattern means that it does not.",
        "forecast" => {
            "Points on the line were predicted correctly from the smaller budgets; points off the line were not."
        }
        "loss_curves" => {
            "Runs of one budget end at the same compute; a run that ends above its neighbours did not train well."
        }
        "loss_by_position" => {
            "A line that still falls at its end belongs to a model that uses its whole context; a longer one would help it."
        }
        "tasks" => "Only what is clearly above the line of chance has been learned.",
        "transfer" => {
            "If the minima are above each other, one learning rate is best for all widths; if not, it must be tuned \
             for each width."
        }
        "best_learning_rate" => "A level line means that the learning rate transfers.",
        "frontier" => "The lower line needs less compute for the same loss.",
        _ => "",
    }
}

/// A number that may be shown: the fit converged and there is one.
pub fn shown(status: Status, estimate: Option<Estimate>) -> Option<Estimate> {
    estimate.filter(|e| status == Status::Converged && e.value.is_finite())
}

/// An estimate and its interval: `18.4 (15.2 to 22.9)`.
pub fn estimate(e: Estimate, print: impl Fn(f64) -> String) -> String {
    if e.low.is_finite() && e.high.is_finite() {
        format!("{} ({} to {})", print(e.value), print(e.low), print(e.high))
    } else {
        format!("{} (no interval)", print(e.value))
    }
}

/// Whether two budgets are one.
pub fn same(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-6
}

/// The ratio at a budget, where an approach tells it: approach 1 ends at the last FLOP value of its envelope, which is
/// not further from the budget than one curve may be.
pub fn ratio_at(ratios: &[TokensPerParam], budget: f64) -> Option<Estimate> {
    ratios.iter().find(|t| (t.flops / budget).ln().abs() < 0.1).map(|t| t.ratio)
}

/// A number of parameters or tokens, or their ratio: `1.25M`, `18.4`.
pub fn amount(x: f64) -> String {
    // Letters end at T: beyond, and far below one, the exponent is shorter.
    if (1e-3..1e15).contains(&x) { Params(x).to_string() } else { Flops(x).to_string() }
}

/// A loss with as many decimals as it needs, six at most.
pub fn short(x: f64) -> String {
    let text = format!("{x:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An exponent or a loss, with three decimals.
pub fn decimal(x: f64) -> String {
    format!("{x:.3}")
}

/// A budget as the name of what belongs to it: `budget 1e12`.
pub fn budget(flops: f64) -> String {
    format!("budget {}", Flops(flops))
}

/// `1 run was`, `2 runs were`.
pub fn were(n: usize, noun: &str) -> String {
    format!("{} {}", count(n, noun), if n == 1 { "was" } else { "were" })
}

/// `1 run is`, `2 runs are`.
pub fn are(n: usize, noun: &str) -> String {
    format!("{} {}", count(n, noun), if n == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_converged_fit_is_not_shown() {
        let e = Estimate { value: 2.0, low: 1.0, high: 3.0 };
        assert_eq!(shown(Status::Converged, Some(e)), Some(e));
        assert_eq!(shown(Status::EdgeMinimum, Some(e)), None);
        assert_eq!(shown(Status::Converged, Some(Estimate { value: f64::NAN, ..e })), None);
    }

    #[test]
    fn an_estimate_prints_with_its_interval() {
        let e = Estimate { value: 0.49, low: 0.462, high: 0.534 };
        assert_eq!(estimate(e, decimal), "0.490 (0.462 to 0.534)");
        assert_eq!(estimate(Estimate { low: f64::NAN, ..e }, decimal), "0.490 (no interval)");
    }

    #[test]
    fn a_status_has_the_key_that_its_serialization_has() {
        for s in [Status::Converged, Status::BoundHit, Status::EdgeMinimum, Status::TooFewPoints, Status::NotIdentified]
        {
            assert_eq!(serde_json::json!(s), s.key());
        }
    }
}
