//! The best values of some settings at one point of a sweep, found on a lattice of their logarithms.
//!
//! The neighbours of the best place are trained, one setting at a time and all settings at once, until none is better: then
//! the best value of each setting lies between two worse ones, as the parabola through the three needs it. A best place at the
//! end of the lattice ends there, and is told.

use std::collections::BTreeMap;

/// A place on the lattice: a step of each setting.
pub type Place = Vec<usize>;

/// What is known of a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// It is being trained, or will be.
    UnderWay,
    /// Its loss.
    Loss(f64),
    /// It diverged or failed, and is worse than any loss.
    Worse,
}

/// What comes next at a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// These places are trained, besides those under way.
    Train(Vec<Place>),
    /// The best place, and the settings whose best value is at an end of the lattice.
    Done(Place, Vec<usize>),
    /// No place has a loss, and there is nothing to look at.
    Nothing,
}

/// What to train next, from the middle of a lattice on; `is_there` says which places can be trained.
pub fn next(known: &BTreeMap<Place, Known>, middle: &Place, is_there: impl Fn(&Place) -> bool) -> Next {
    let loss = |place: &Place| match known.get(place) {
        Some(Known::Loss(loss)) if loss.is_finite() => Some(*loss),
        _ => None,
    };
    let known_best = known.keys().filter_map(|place| Some((place, loss(place)?)));
    let best = known_best.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(middle, |(place, _)| place);
    // Before anything is known, the middle is looked at with its neighbours.
    let around: Vec<(usize, bool, Place)> = neighbours(best).collect();
    let there = |place: &Place| is_there(place);
    let wanted = std::iter::once(best).chain(around.iter().map(|(_, _, place)| place)).filter(|place| there(place));
    let missing: Vec<Place> = wanted.clone().filter(|place| !known.contains_key(*place)).cloned().collect();
    let waits = wanted.clone().any(|place| known.get(place) == Some(&Known::UnderWay));
    if !missing.is_empty() || waits {
        return Next::Train(missing);
    }
    if loss(best).is_none() {
        // All of the middle diverged: the place with half as many steps of every setting, if nobody has looked at it.
        let lower: Place = middle.iter().map(|step| step / 2).collect();
        return if there(&lower) && !known.contains_key(&lower) { Next::Train(vec![lower]) } else { Next::Nothing };
    }
    let mut ends: Vec<usize> = (0..best.len())
        .filter(|setting| {
            let sides = around.iter().filter(|(of, _, place)| of == setting && there(place)).count();
            sides < 2
        })
        .collect();
    ends.dedup();
    Next::Done(best.clone(), ends)
}

/// The places one step away: which setting, whether up, and where.
fn neighbours(place: &Place) -> impl Iterator<Item = (usize, bool, Place)> + '_ {
    (0..place.len()).flat_map(move |setting| {
        let step = move |up: bool| {
            let moved = if up { place[setting].checked_add(1) } else { place[setting].checked_sub(1) }?;
            let mut other = place.clone();
            other[setting] = moved;
            Some((setting, up, other))
        };
        [false, true].into_iter().filter_map(step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trains what is asked for until nothing is: the end, and how many were trained.
    fn play(loss: impl Fn(&Place) -> Option<f64>, sizes: &[usize]) -> (Next, usize) {
        let middle: Place = sizes.iter().map(|size| size / 2).collect();
        let mut known = BTreeMap::new();
        loop {
            match next(&known, &middle, |place| place.iter().zip(sizes).all(|(step, size)| step < size)) {
                Next::Train(places) => {
                    assert!(!places.is_empty() && places.iter().all(|place| !known.contains_key(place)), "{places:?}");
                    known.extend(places.into_iter().map(|place| {
                        let told = loss(&place).map_or(Known::Worse, Known::Loss);
                        (place, told)
                    }));
                }
                end => return (end, known.len()),
            }
        }
    }

    #[test]
    fn the_best_of_one_setting_is_bracketed_by_few_runs() {
        for best in 1..8 {
            let (end, runs) = play(|place| Some((place[0] as f64 - best as f64 + 0.2).powi(2)), &[9]);
            assert_eq!(end, Next::Done(vec![best], vec![]));
            assert!(runs <= 3 + best.abs_diff(4), "{runs} for {best}");
        }
    }

    #[test]
    fn an_optimum_beyond_the_lattice_is_told() {
        assert_eq!(play(|place| Some(-(place[0] as f64)), &[9]).0, Next::Done(vec![8], vec![0]));
        assert_eq!(
            play(|place| Some(place[0] as f64 + place[1] as f64), &[5, 5]).0,
            Next::Done(vec![0, 0], vec![0, 1])
        );
    }

    #[test]
    fn settings_that_hang_together_are_found_with_a_part_of_the_product() {
        let bowl = |place: &Place| {
            let [x, y] = [place[0] as f64 - 6.0, place[1] as f64 - 2.0];
            Some(x * x + y * y + 0.8 * x * y)
        };
        let (end, runs) = play(bowl, &[9, 9]);
        assert_eq!(end, Next::Done(vec![6, 2], vec![]));
        assert!(runs < 30, "{runs} of 81");
    }

    #[test]
    fn what_diverges_is_worse_than_any_loss_and_where_all_do_it_ends() {
        let half = |place: &Place| (place[0] < 4).then(|| (place[0] as f64 - 2.0).powi(2));
        assert_eq!(play(half, &[9]).0, Next::Done(vec![2], vec![]));
        assert_eq!(play(|_| None, &[9]).0, Next::Nothing);
        // Only far below the middle is there a loss.
        let low = |place: &Place| (place[0] < 3).then(|| 1.0 - place[0] as f64 * 0.1);
        assert_eq!(play(low, &[9]).0, Next::Done(vec![2], vec![]));
    }

    #[test]
    fn nothing_is_asked_for_twice_while_it_is_under_way() {
        let known =
            BTreeMap::from([(vec![4], Known::UnderWay), (vec![3], Known::Loss(1.0)), (vec![5], Known::UnderWay)]);
        assert_eq!(next(&known, &vec![4], |_| true), Next::Train(vec![vec![2]]));
        let more = BTreeMap::from([(vec![2], Known::UnderWay)]).into_iter().chain(known).collect();
        assert_eq!(next(&more, &vec![4], |_| true), Next::Train(vec![]));
    }
}
