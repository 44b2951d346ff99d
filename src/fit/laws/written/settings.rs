//! Best values of settings that a law tells, such as a learning rate: whether they lie inside of what was trained.

use std::collections::BTreeMap;

use crate::fit::formula::{Data, Law};

/// How far beyond what was trained a best value is looked for, as a factor, and at how many values.
const BEYOND: f64 = 1e4;
const VALUES: usize = 161;
/// Values within this factor of each other are one, but for rounding.
const SAME: f64 = 1.05;
/// Least places at which a best value must lie inside, and share of all places.
const ENOUGH: usize = 2;
const SHARE: f64 = 0.5;

/// The rows of one place.
type Place = Vec<usize>;

/// A sentence where the best value of a setting lies outside of those trained at too many of the places that were trained.
pub(super) fn beyond(law: &Law, data: &Data, values: &[f64]) -> Option<String> {
    let is_setting = |name: &&String| {
        let column = &data.columns[*name];
        !["N", "D", "C"].contains(&name.as_str()) && column.iter().all(|x| *x > 0.0)
    };
    let settings: Vec<&String> =
        law.columns.iter().filter(is_setting).filter(|name| bends(law, data, values, name)).collect();
    if settings.is_empty() {
        return None;
    }
    let places = places(law, data, &settings);
    settings.iter().find_map(|setting| {
        let (mut inside, mut below, mut above) = (0, 0, 0);
        for place in &places {
            let Some(best) = best(law, data, values, setting, place) else { continue };
            let trained = place.iter().map(|row| data.columns[*setting][*row]);
            let [low, high] = trained.fold([f64::INFINITY, 0.0], |[a, b]: [f64; 2], x| [a.min(x), b.max(x)]);
            if best <= low {
                below += 1;
            } else if best >= high {
                above += 1;
            } else {
                inside += 1;
            }
        }
        let told = inside + below + above;
        if told == 0 || (inside >= ENOUGH.min(told) && inside as f64 >= SHARE * told as f64) {
            return None;
        }
        let side = |count: usize, side: &str| (count > 0).then(|| format!("{side} at {count}"));
        let sides: Vec<String> = [side(below, "below"), side(above, "above")].into_iter().flatten().collect();
        Some(format!(
            "Edge: at {} of {told} places that were trained the best {setting} that the law tells lies outside of the values trained \
             there ({}), so that it is extrapolated: train values further out.",
            told - inside,
            sides.join(", ")
        ))
    })
}

/// Whether the law tells a best value of a column at most places: it falls on one side of it and rises on the other.
fn bends(law: &Law, data: &Data, values: &[f64], name: &String) -> bool {
    let rows: Vec<usize> = (0..data.len()).step_by(data.len().div_ceil(24).max(1)).collect();
    let found = rows.iter().filter(|row| best(law, data, values, name, &[**row]).is_some()).count();
    2 * found > rows.len()
}

/// The best value of a setting at a place, the other columns as in its row of least loss; nothing where the law has none.
fn best(law: &Law, data: &Data, values: &[f64], setting: &String, place: &[usize]) -> Option<f64> {
    let column = &data.columns[setting];
    let [low, high] = column.iter().fold([f64::INFINITY, 0.0], |[a, b]: [f64; 2], x| [a.min(*x), b.max(*x)]);
    let row = place.iter().copied().min_by(|a, b| data.loss[*a].total_cmp(&data.loss[*b]))?;
    let (from, to) = ((low / BEYOND).ln(), (high * BEYOND).ln());
    let tried: Vec<f64> = (0..VALUES).map(|i| (from + (to - from) * i as f64 / (VALUES - 1) as f64).exp()).collect();
    let mut line = data.select(&vec![row; VALUES]);
    line.columns.insert(setting.clone(), tried.clone());
    let told = law.bind(&line).ok()?.predict(values);
    let least = (0..VALUES).min_by(|a, b| told[*a].total_cmp(&told[*b]))?;
    let falls = told[least] < told[0] * (1.0 - 1e-9) && told[least] < told[VALUES - 1] * (1.0 - 1e-9);
    (falls && least > 0 && least < VALUES - 1).then_some(tried[least])
}

/// Rows that agree, but for rounding, in all that the law depends on besides the settings.
fn places(law: &Law, data: &Data, settings: &[&String]) -> Vec<Place> {
    let columns = law.columns.iter().filter(|name| !settings.contains(name)).map(|name| rounded(&data.columns[name]));
    let groups =
        law.indices.iter().filter_map(|name| Some(data.groups.get(name)?.of.iter().map(|of| *of as usize).collect()));
    let keys: Vec<Vec<usize>> = columns.chain(groups).collect();
    let mut places: BTreeMap<Vec<usize>, Place> = BTreeMap::new();
    for row in 0..data.len() {
        places.entry(keys.iter().map(|key| key[row]).collect()).or_default().push(row);
    }
    places.into_values().collect()
}

/// A number for each value, the same for those that differ by rounding.
fn rounded(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut numbers = vec![0; values.len()];
    let (mut number, mut last) = (0, f64::NEG_INFINITY);
    for row in order {
        if values[row] > SAME * last && values[row] > last {
            (number, last) = (number + 1, values[row]);
        }
        numbers[row] = number;
    }
    numbers
}
