//! Parameters, tokens and FLOPs: plain numbers in the code, these wrappers when they are printed.

use std::fmt;

/// A number of parameters; prints as `1.25M`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Params(pub f64);

/// A number of tokens; prints as `20.5M`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Tokens(pub f64);

/// A number of floating-point operations; prints as `3.2e15`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Flops(pub f64);

/// A number of bytes; prints as `1.21GB`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Bytes(pub f64);

/// A ratio, such as tokens per parameter; prints as `20.5`, with three significant digits.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(pub f64);

/// A loss or a difference of losses; `{:.4}` prints four decimals, or three digits where these would all be zero: `2.30e-6`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Loss(pub f64);

/// A duration in seconds; prints as `45 s`, `12 min` or `3.4 h`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Seconds(pub f64);

/// `1 run`, `2 runs`.
pub fn count(n: impl TryInto<u64> + fmt::Display + Copy, noun: &str) -> String {
    let several = if n.try_into().is_ok_and(|n| n == 1) { "" } else { "s" };
    format!("{n} {noun}{several}")
}

/// Reads a number as people write it: `3e19`, `124M`, `1.5k`, `10B`, `2T`, `1_000_000`.
pub fn amount(text: &str) -> Result<f64, String> {
    let plain = text.trim().replace('_', "");
    let (digits, factor) = match plain.strip_suffix(['k', 'K', 'M', 'B', 'G', 'T']) {
        Some(digits) => (
            digits,
            match plain.chars().last() {
                Some('k' | 'K') => 1e3,
                Some('M') => 1e6,
                Some('B' | 'G') => 1e9,
                _ => 1e12,
            },
        ),
        None => (plain.as_str(), 1.0),
    };
    let number: Option<f64> = digits.trim().parse().ok();
    number.map(|number| number * factor).ok_or_else(|| {
        format!("'{text}' is no number: write one such as 3e19, 124M or 10B (k, M, B and T stand for powers of 1000)")
    })
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&metric(self.0))
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&metric(self.0))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = metric(self.0);
        // What is B for parameters is G for bytes.
        f.pad(&text.strip_suffix('B').map_or_else(|| format!("{text}B"), |billions| format!("{billions}GB")))
    }
}

impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&scientific(self.0))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The exponent after rounding, so that 9.996 is 10.0.
        let x = three_digits(self.0);
        let exponent = x.abs().log10().floor();
        f.pad(&match x {
            _ if !x.is_finite() => "-".to_owned(),
            0.0 => "0".to_owned(),
            _ if !(-3.0..6.0).contains(&exponent) => format!("{x:.2e}"),
            _ => format!("{x:.0$}", (2.0 - exponent).max(0.0) as usize),
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(4);
        let sign = if f.sign_plus() && !self.0.is_sign_negative() { "+" } else { "" };
        let says_nothing = self.0 != 0.0 && self.0.abs() < 0.5 / 10_f64.powf(decimals as f64);
        let text = if says_nothing { Ratio(self.0).to_string() } else { format!("{:.decimals$}", self.0) };
        f.write_str(&format!("{sign}{text}"))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0;
        f.pad(&match s {
            _ if !s.is_finite() => "-".to_owned(),
            _ if s < 10.0 => format!("{s:.1} s"),
            _ if s < 120.0 => format!("{s:.0} s"),
            _ if s < 7200.0 => format!("{:.0} min", s / 60.0),
            _ => format!("{:.1} h", s / 3600.0),
        })
    }
}

/// Three significant digits and a metric letter: `950`, `12.3k`, `1.25M`, `70.4B`, `1.4T`.
fn metric(x: f64) -> String {
    if !x.is_finite() {
        return "-".to_owned();
    }
    let steps = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    // Compared after rounding to three digits, so that 999_999 is 1M and not 1000k.
    let rounded = three_digits(x);
    let (unit, letter) = steps.into_iter().find(|(unit, _)| rounded.abs() >= *unit).unwrap_or((1.0, ""));
    format!("{}{letter}", three_digits(rounded / unit))
}

/// Two significant digits and the exponent: `3.2e15`, `1e18`.
fn scientific(x: f64) -> String {
    if !x.is_finite() {
        return "-".to_owned();
    }
    if x == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{x:.1e}");
    text.replace(".0e", "e")
}

/// Rounds to three significant digits by way of the decimal text, so that the result prints short.
fn three_digits(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, expected) in [
            ("3e19", 3e19),
            ("124M", 1.24e8),
            ("10B", 1e10),
            ("1.5k", 1500.0),
            ("2T", 2e12),
            ("1_000", 1e3),
            (" 7 ", 7.0),
        ] {
            assert_eq!(amount(text), Ok(expected), "{text}");
        }
        for wrong in ["", "M", "12Q", "ten", "1e", "12 M B"] {
            assert!(amount(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn counts_print_with_three_digits_and_a_letter() {
        let print = |x| Params(x).to_string();
        assert_eq!(print(950.0), "950");
        assert_eq!(print(12_345.0), "12.3k");
        assert_eq!(print(999_999.0), "1M");
        assert_eq!(print(1.25e6), "1.25M");
        assert_eq!(print(7.04e10), "70.4B");
        assert_eq!(Tokens(0.5).to_string(), "0.5");
        assert_eq!(Tokens(f64::NAN).to_string(), "-");
    }

    #[test]
    fn bytes_print_with_their_unit() {
        let print = |x| Bytes(x).to_string();
        assert_eq!([print(950.0), print(39_600.0), print(1.21e9)], ["950B", "39.6kB", "1.21GB"]);
    }

    #[test]
    fn ratios_print_with_three_digits_and_no_letter() {
        let print = |x| Ratio(x).to_string();
        assert_eq!(print(20.04), "20.0");
        assert_eq!(print(9.996), "10.0");
        assert_eq!(print(0.976), "0.976");
        assert_eq!(print(0.0123), "0.0123");
        assert_eq!(print(1234.0), "1230");
        assert_eq!(print(1.2e7), "1.20e7");
        assert_eq!((print(0.0), print(f64::NAN)), ("0".to_owned(), "-".to_owned()));
    }

    #[test]
    fn losses_print_with_their_decimals_or_with_digits_where_these_would_be_zeros() {
        let print = |x| format!("{:.3}", Loss(x));
        assert_eq!([print(3.4561), print(0.31), print(-0.02)], ["3.456", "0.310", "-0.020"]);
        assert_eq!([print(3.2e-6), print(-0.0042), print(0.0)], ["3.20e-6", "-0.004", "0.000"]);
        assert_eq!(
            (format!("{:.4}", Loss(0.000_12)), format!("{:.4}", Loss(0.000_03))),
            ("0.0001".into(), "3.00e-5".into())
        );
        assert_eq!([format!("{:+.4}", Loss(0.5)), format!("{:+.4}", Loss(-2e-9))], ["+0.5000", "-2.00e-9"]);
        assert_eq!(print(f64::NAN), "NaN");
    }

    #[test]
    fn flops_print_with_their_exponent() {
        assert_eq!(Flops(3.21e15).to_string(), "3.2e15");
        assert_eq!([Flops(1e18), Flops(0.0), Flops(-0.0)].map(|flops| flops.to_string()), ["1e18", "0", "0"]);
    }

    #[test]
    fn seconds_choose_their_unit() {
        assert_eq!(Seconds(4.25).to_string(), "4.2 s");
        assert_eq!(Seconds(600.0).to_string(), "10 min");
        assert_eq!(Seconds(12_240.0).to_string(), "3.4 h");
    }
}
