//! Whether two settings were tuned alike, so that the best of each may be compared.

use std::collections::BTreeSet;

/// The values that were tried, each of all columns that were tuned.
pub(in crate::fit) type Tried = BTreeSet<Vec<String>>;

/// How far two steps may differ and be the same.
const SAME: f64 = 0.05;

/// Whether the best of one list of values has no advantage over that of the other: they are the same, or as many at the same
/// steps, as where the best lies elsewhere.
pub(in crate::fit) fn alike(these: &Tried, those: &Tried) -> bool {
    let columns = these.iter().chain(those).map(Vec::len).max().unwrap_or(0);
    let steps_agree = |column: usize| match [these, those].map(|tried| steps(tried, column)) {
        [Some(a), Some(b)] => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= SAME * a.abs()),
        _ => false,
    };
    these == those || these.len() == those.len() && (0..columns).all(steps_agree)
}

/// Steps between the values of one column in the logarithm; nothing where they are no numbers above zero.
fn steps(tried: &Tried, column: usize) -> Option<Vec<f64>> {
    let value = |values: &Vec<String>| Some(values.get(column)?.parse().ok().filter(|x: &f64| *x > 0.0)?.ln());
    let mut logs: Vec<f64> = tried.iter().map(value).collect::<Option<_>>()?;
    logs.sort_by(f64::total_cmp);
    logs.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    Some(logs.windows(2).map(|pair| pair[1] - pair[0]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(values: &[&str]) -> Tried {
        values.iter().map(|value| vec![(*value).to_owned()]).collect()
    }

    #[test]
    fn values_are_alike_where_they_are_as_many_at_the_same_steps() {
        let three = tried(&["1e-3", "2e-3", "4e-3"]);
        assert!(alike(&three, &three) && alike(&three, &tried(&["0.016", "0.032", "0.064"])));
        for other in [&["1e-3"][..], &["1e-3", "2e-3"], &["1e-3", "1.4e-3", "2e-3"], &["a", "b", "c"]] {
            assert!(!alike(&three, &tried(other)), "{other:?}");
        }
        assert!(alike(&tried(&["1"]), &tried(&["3"])), "one value each");
        assert!(alike(&tried(&["a"]), &tried(&["a"])));
    }
}
