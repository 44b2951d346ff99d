//! Results that count and look as if they were of another unit than nats per token.

use std::f64::consts::LN_2;

/// Shares by which a ratio may differ from that of a unit.
const NEAR: f64 = 0.02;
const NEAR_PERPLEXITY: f64 = 0.1;
/// Losses of validation and of training do not differ by such a factor.
const FAR: f64 = 3.0;

/// What there is to say where a loss of validation is far from the last training loss.
pub(super) fn of_unit(val_loss: f64, train_loss: f64) -> Option<String> {
    let ratio = val_loss / train_loss;
    let near = |expected: f64, around: f64| (ratio / expected - 1.0).abs() <= around;
    // Below 1.3 nats a perplexity is hardly above its loss.
    let what = if near(1.0 / LN_2, NEAR) {
        "so is a loss in bits beside one in nats: multiply val_loss by 0.6931 if it is in bits"
    } else if near(LN_2, NEAR) {
        "so is a loss in nats beside one in bits: multiply loss by 0.6931 if it is in bits"
    } else if ratio > FAR && near(train_loss.exp() / train_loss, NEAR_PERPLEXITY) {
        "so is a perplexity: take its logarithm"
    } else if !(1.0 / FAR..=FAR).contains(&ratio) {
        "is one of them a sum, a perplexity, or per byte? Both are in nats per token"
    } else {
        return None;
    };
    Some(format!("its val_loss {val_loss:.4} is {ratio:.3} times the last loss of training {train_loss:.4}; {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_known_by_its_ratio_to_the_training_loss() {
        let said = |val: f64, train: f64| of_unit(val, train).unwrap_or_default();
        assert!(said(3.0 / LN_2, 3.0).contains("in bits beside one in nats"));
        assert!(said(3.0, 3.0 / LN_2).contains("in nats beside one in bits"));
        assert!(said(3.05_f64.exp(), 3.0).contains("a perplexity: take"));
        assert!(said(487.2, 3.0).contains("a sum") && said(0.7, 3.0).contains("per byte"));
        for ratio in [0.75, 0.9, 1.0, 1.1, 1.3, 1.6] {
            assert_eq!(of_unit(3.0 * ratio, 3.0), None, "{ratio}");
        }
    }
}
