//! The order of numbers and of rows of them, and combinations.

use std::cmp::Ordering;

/// By the first number in which two rows differ.
pub fn by_first_difference<const N: usize>(a: &[f64; N], b: &[f64; N]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The least and the greatest number; infinite the wrong way round where there are none.
pub fn ends(numbers: impl IntoIterator<Item = f64>) -> (f64, f64) {
    numbers.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// Every combination of one value of each list, the last list running fastest.
pub fn combinations<const N: usize>(values: [&[f64]; N]) -> Vec<[f64; N]> {
    let mut all = vec![[0.0; N]];
    for (k, values) in values.into_iter().enumerate() {
        let with = |start: [f64; N]| {
            values.iter().map(move |value| {
                let mut next = start;
                next[k] = *value;
                next
            })
        };
        all = all.into_iter().flat_map(with).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_combinations_are_those_of_all_numbers() {
        assert_eq!(ends([2.0, -1.0, 3.0]), (-1.0, 3.0));
        let all = combinations([&[1.0, 2.0], &[3.0], &[4.0, 5.0]]);
        assert_eq!(all, [[1.0, 3.0, 4.0], [1.0, 3.0, 5.0], [2.0, 3.0, 4.0], [2.0, 3.0, 5.0]]);
        assert!(combinations([&[1.0], &[]]).is_empty());
    }
}
