//! Numbers as people write them: 5.06M, 1.2B, 5,059,644, 1e6, and 3,21 where that can only mean one thing.

/// What a comma in the numbers of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commas {
    /// It groups thousands, and a point begins the decimals.
    Thousands,
    /// It begins the decimals, and a point groups thousands.
    Decimal,
}

/// What one number says of the commas of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// It can only be read that way.
    Only(Commas),
    /// One comma before three digits: either.
    Either,
    /// No commas and no points.
    Nothing,
}

/// A text that is a number, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Digits, commas, points and perhaps an exponent.
    digits: String,
    /// Power of ten of the suffix, where there is one: 6 for 5.06M.
    pub(super) suffix: Option<i32>,
}

/// How powers of ten are written behind a number or as the unit of a column.
const POWERS: [(&str, i32); 15] = [
    ("thousands", 3),
    ("thousand", 3),
    ("k", 3),
    ("mio", 6),
    ("mrd", 9),
    ("millions", 6),
    ("million", 6),
    ("m", 6),
    ("billions", 9),
    ("billion", 9),
    ("b", 9),
    ("g", 9),
    ("trillions", 12),
    ("trillion", 12),
    ("t", 12),
];
/// What may stand behind a number without changing it.
const NOUNS: [&str; 7] = ["tokens", "token", "parameters", "params", "flops", "flop", "nats"];
/// Petaflop-days, as Kaplan et al. count compute.
const PETAFLOP_DAY: f64 = 1e15 * 86400.0;

/// Units of columns, the more usual first.
pub(super) const LETTERS: [&str; 5] = ["", "M", "B", "T", "k"];

/// What one of the letters stands for.
pub(super) fn factor(letter: &str) -> f64 {
    unit(letter).unwrap_or(1.0)
}

/// The factor of a unit: `M`, `millions`, `in billions`, `1e18`, `10^9`, `PF-days`.
pub(super) fn unit(text: &str) -> Option<f64> {
    let text = text.trim().to_lowercase();
    let text = text.strip_prefix("in ").unwrap_or(&text).trim();
    if let Some((_, power)) = POWERS.iter().find(|(name, _)| *name == text) {
        return Some(10_f64.powi(*power));
    }
    match text {
        "nats" | "nats/token" | "nats per token" => return Some(1.0),
        "bits" | "bits/token" | "bits per token" => return Some(std::f64::consts::LN_2),
        "pf-days" | "pfs-days" | "petaflop/s-days" | "pf-day" => return Some(PETAFLOP_DAY),
        noun if NOUNS.contains(&noun) => return Some(1.0),
        _ => {}
    }
    let text = text.trim_start_matches(['x', '\u{d7}', '*']).trim();
    let value = match text.strip_prefix("10^") {
        Some(power) => 10_f64.powi(power.parse().ok()?),
        None => text.parse().ok()?,
    };
    Some(value).filter(|value| value.is_finite() && *value > 0.0)
}

/// Takes a text apart that is no plain number; nothing where it is words.
pub(super) fn written(text: &str) -> Option<Written> {
    let mut text = text.trim().to_lowercase().replace('\u{2212}', "-");
    for noun in NOUNS {
        if let Some(rest) = text.strip_suffix(noun) {
            text = rest.trim_end().to_owned();
            break;
        }
    }
    let suffix = POWERS.iter().find_map(|(name, power)| {
        let rest = text.strip_suffix(name)?.trim_end();
        rest.ends_with(|c: char| c.is_ascii_digit()).then(|| (rest.to_owned(), *power))
    });
    let suffix = suffix.map(|(rest, power)| {
        text = rest;
        power
    });
    for times in ["\u{d7}", "x", "*", "\u{b7}"] {
        for spaces in ["", " "] {
            text = text.replace(&format!("{spaces}{times}{spaces}10^"), "e");
        }
    }
    let digits = ungrouped(&text)?;
    let mut rest = digits.chars();
    let (sign, exponent) = (|c| "+-".contains(c), digits.matches('e').count());
    let plain = rest.all(|c| c.is_ascii_digit() || sign(c) || ",.e".contains(c));
    let told_once = exponent == 0 || (exponent == 1 && suffix.is_none());
    (plain && told_once && digits.contains(|c: char| c.is_ascii_digit())).then_some(Written { digits, suffix })
}

/// Without the spaces, underscores and apostrophes that group digits; nothing where they stand elsewhere.
fn ungrouped(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let is_digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
    let mut kept = String::with_capacity(text.len());
    for (at, c) in chars.iter().enumerate() {
        if !" _'\u{2019}\u{a0}\u{2009}\u{202f}".contains(*c) {
            kept.push(*c);
        } else if !(is_digit(at.checked_sub(1)) && is_digit(Some(at + 1))) {
            return None;
        }
    }
    Some(kept)
}

impl Written {
    /// Digits before the exponent.
    fn mantissa(&self) -> &str {
        self.digits.split('e').next().unwrap_or_default()
    }

    /// What it says of commas.
    pub(super) fn evidence(&self) -> Evidence {
        let mantissa = self.mantissa().trim_start_matches(['+', '-']);
        let count = |mark: char| mantissa.matches(mark).count();
        let (commas, points) = (count(','), count('.'));
        if (commas, points) == (1, 0) {
            let (before, after) = mantissa.split_once(',').unwrap_or_default();
            let groups = after.len() == 3 && (1..=3).contains(&before.len()) && !before.starts_with('0');
            return if groups { Evidence::Either } else { Evidence::Only(Commas::Decimal) };
        }
        // One point in a number without commas is the point of decimals, as everywhere in this program.
        let decimal = if commas == 0 { points > 1 } else { points > 0 && mantissa.rfind(',') > mantissa.rfind('.') };
        match commas + points {
            0 => Evidence::Nothing,
            _ => Evidence::Only(if decimal { Commas::Decimal } else { Commas::Thousands }),
        }
    }

    /// Whether it depends on what a comma is.
    pub(super) fn asks(&self) -> bool {
        self.digits.contains(',') || self.digits.matches('.').count() > 1
    }

    /// Its value; nothing where its groups are not of three digits.
    pub(super) fn value(&self, commas: Commas) -> Option<f64> {
        let (group, point) = match commas {
            Commas::Thousands => (',', '.'),
            Commas::Decimal => ('.', ','),
        };
        let mantissa = self.mantissa();
        let (whole, decimals) = mantissa.split_once(point).unwrap_or((mantissa, ""));
        let mut groups = whole.trim_start_matches(['+', '-']).split(group);
        let first = groups.next().unwrap_or_default();
        let grouped = whole.contains(group);
        let right = groups.all(|group| group.len() == 3) && (!grouped || (1..=3).contains(&first.len()));
        if !right || decimals.contains([group, point]) {
            return None;
        }
        let whole = whole.replace(group, "");
        let exponent = self.digits.split_once('e').map(|(_, exponent)| exponent.to_owned());
        let exponent =
            exponent.or_else(|| self.suffix.map(|power| power.to_string())).unwrap_or_else(|| "0".to_owned());
        format!("{whole}.{decimals}e{exponent}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let cases = [
            ("5.06M", 5.06e6),
            ("1.2B", 1.2e9),
            ("1.2 b", 1.2e9),
            ("70 billion", 7e10),
            ("400k", 4e5),
            ("2T", 2e12),
            ("300B tokens", 3e11),
            ("5,059,644", 5_059_644.0),
            ("5,059,644.5", 5_059_644.5),
            ("5 059 644", 5_059_644.0),
            ("5_059_644", 5_059_644.0),
            ("1.2\u{d7}10^9", 1.2e9),
            ("1.2 x 10^9", 1.2e9),
            ("6e21 FLOPs", 6e21),
            ("\u{2212}3.5", -3.5),
        ];
        for (text, expected) in cases {
            let value = written(text).and_then(|written| written.value(Commas::Thousands));
            assert_eq!(value, Some(expected), "{text}");
        }
        let european = |text: &str| written(text).and_then(|written| written.value(Commas::Decimal));
        assert_eq!(european("3,21"), Some(3.21));
        assert_eq!(european("5.059.644,5"), Some(5_059_644.5));
        assert_eq!(european("5,06M"), Some(5.06e6));
    }

    #[test]
    fn words_and_halves_of_numbers_are_none() {
        for text in
            ["many", "M", "1.2X", "5e", "1 2 x", "12,34,567", "1,,2", ",", "-", "5M6", "1e6M", "3.2.1,5.5", "7 -"]
        {
            let value = written(text).and_then(|written| written.value(Commas::Thousands));
            assert_eq!(value, None, "{text}");
        }
    }

    #[test]
    fn one_comma_before_three_digits_means_nothing_by_itself() {
        let cases = [
            ("5,059", Evidence::Either),
            ("3,214", Evidence::Either),
            ("0,214", Evidence::Only(Commas::Decimal)),
            ("3,21", Evidence::Only(Commas::Decimal)),
            ("1234,567", Evidence::Only(Commas::Decimal)),
            ("5,059,644", Evidence::Only(Commas::Thousands)),
            ("5,059.5", Evidence::Only(Commas::Thousands)),
            ("5.059,5", Evidence::Only(Commas::Decimal)),
            ("5.059.644", Evidence::Only(Commas::Decimal)),
            ("3.2", Evidence::Only(Commas::Thousands)),
            ("32", Evidence::Nothing),
        ];
        for (text, expected) in cases {
            assert_eq!(written(text).map(|written| written.evidence()), Some(expected), "{text}");
        }
    }

    #[test]
    fn units_are_powers_of_ten_words_or_numbers() {
        let cases = [
            ("M", 1e6),
            ("in millions", 1e6),
            ("B", 1e9),
            ("k", 1e3),
            ("T", 1e12),
            ("1e18", 1e18),
            ("x10^9", 1e9),
            ("PF-days", 8.64e19),
            ("bits", std::f64::consts::LN_2),
            ("nats", 1.0),
        ];
        for (text, expected) in cases {
            assert_eq!(unit(text), Some(expected), "{text}");
        }
        for text in ["", "Q", "-1", "0", "seconds", "nan"] {
            assert_eq!(unit(text), None, "{text}");
        }
    }
}
