//! How many cards a task gets, by the options of sbatch that ask for them (its manual page has their forms). A task is alone on
//! one node, so that cards of the job, of the node and of the task are the same number.

use crate::spec::Launcher;

/// What the options of a task ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// So many cards.
    Cards(usize),
    /// Cards by this option, the number of which only the cluster knows.
    Untold(String),
}

/// Options whose value is a list of `[type:]number`.
const BY_NUMBER: [&str; 3] = ["gpus", "gpus-per-node", "gpus-per-task"];

/// Options that give cards whose number depends on the node.
const BY_NODE: [&str; 3] = ["gpus-per-socket", "tres-per-task", "exclusive"];

impl Asked {
    /// What `[launcher]` asks for: the most that one of its options says, since sbatch meets them all.
    pub fn by(launcher: &Launcher) -> Self {
        let gres = launcher.gres.iter().map(|list| (of_gres(list), format!("gres = {list:?}")));
        let options = launcher.options.iter().filter_map(|option| Some((of_option(option)?, format!("{option:?}"))));
        let all: Vec<(Option<usize>, String)> = gres.chain(options).collect();
        match all.iter().find(|(cards, _)| cards.is_none()) {
            Some((_, option)) => Self::Untold(option.clone()),
            None => Self::Cards(all.iter().filter_map(|(cards, _)| *cards).max().unwrap_or(0)),
        }
    }
}

/// The cards of `name[[:type]:count]`, a list with commas, of which only the name `gpu` counts; nothing in another form.
fn of_gres(list: &str) -> Option<usize> {
    let of = |entry: &str| {
        let mut words = entry.strip_prefix("gres/").unwrap_or(entry).split(':');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("gpu"), None, ..) => Some(1),
            (Some("gpu"), Some(word), None, _) => number(word).or_else(|| is_type(word).then_some(1)),
            (Some("gpu"), Some(kind), Some(count), None) => number(count).filter(|_| is_type(kind)),
            // An entry that is cut at a comma in brackets is no other resource.
            (Some(name), ..) if name != "gpu" => is_type(name).then_some(0),
            _ => None,
        }
    };
    list.split(',').map(of).sum()
}

/// The cards that an option asks for: nothing where it asks for none, and no number where the cluster decides it.
#[expect(clippy::option_option, reason = "whether it asks, and for how many")]
fn of_option(option: &str) -> Option<Option<usize>> {
    let (name, value) = option.strip_prefix("--")?.split_once('=').unwrap_or((option.strip_prefix("--")?, ""));
    // Sbatch takes the beginnings of names too; the full name of one option may begin another.
    let of = |names: &[&'static str]| {
        names.contains(&name) || (name.len() > "gpus".len() && names.iter().any(|known| known.starts_with(name)))
    };
    if of(&BY_NUMBER) {
        let numbers = value.split(',').map(|entry| {
            let (kind, count) = entry.rsplit_once(':').unwrap_or(("any", entry));
            number(count).filter(|_| is_type(kind))
        });
        return Some(numbers.sum());
    }
    // `--exclusive=user` gives no cards, and the `cpu` of a task is none.
    let gives = match name {
        "exclusive" => value.is_empty(),
        "tres-per-task" => value.contains("gpu"),
        _ => true,
    };
    (of(&BY_NODE) && gives).then_some(None)
}

/// The word of a kind of card, such as `a100` or `nvidia_h100_80gb_hbm3`.
fn is_type(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn number(word: &str) -> Option<usize> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gres: Option<&str>, options: &[&str]) -> Asked {
        let mut launcher: Launcher = toml::from_str("kind = \"slurm\"\nworkers = 1").unwrap();
        launcher.gres = gres.map(str::to_owned);
        launcher.options = options.iter().map(|option| (*option).to_owned()).collect();
        Asked::by(&launcher)
    }

    #[test]
    fn a_list_of_resources_has_the_cards_that_slurm_gives_for_it() {
        for (gres, cards) in [
            ("gpu", Some(1)),
            ("gpu:8", Some(8)),
            ("gpu:0", Some(0)),
            ("gpu:a100", Some(1)),
            ("gpu:a100:8", Some(8)),
            ("gpu:nvidia_a100_3g.20gb:2", Some(2)),
            ("gpu:a100:2,gpu:h100:2", Some(4)),
            ("tmp:1G,gpu", Some(1)),
            ("gres/gpu:2", Some(2)),
            ("none", Some(0)),
            ("shard:4", Some(0)),
            // As `sinfo` shows what a node has, which is not how it is asked for.
            ("gpu:8(S:0-1)", None),
            ("gpu:8(S:0,1)", None),
            ("gpu:a100:1K", None),
            ("gpu:a100:2:3", None),
            ("gpu:", None),
        ] {
            assert_eq!(of_gres(gres), cards, "{gres}");
        }
    }

    #[test]
    fn an_option_asks_for_the_cards_that_slurm_gives_for_it() {
        for (option, cards) in [
            ("--gpus=8", Some(Some(8))),
            ("--gpus=a100:8", Some(Some(8))),
            ("--gpus=volta:3,kepler:5", Some(Some(8))),
            ("--gpus-per-node=4", Some(Some(4))),
            ("--gpus-per-n=4", Some(Some(4))),
            ("--gpus-per-task=h100:2", Some(Some(2))),
            ("--gpus-per-socket=2", Some(None)),
            ("--gpus=", Some(None)),
            ("--gpus=two", Some(None)),
            ("--tres-per-task=cpu:4,gres/gpu:2", Some(None)),
            ("--tres-per-task=cpu:4", None),
            ("--exclusive", Some(None)),
            ("--exclusive=user", None),
            ("--gpu-bind=closest", None),
            ("--mem-per-gpu=8G", None),
            ("--cpus-per-gpu=4", None),
            ("--qos=long", None),
        ] {
            assert_eq!(of_option(option), cards, "{option}");
        }
    }

    #[test]
    fn options_that_say_it_twice_say_it_once_and_one_without_a_number_is_named() {
        assert_eq!(asked(None, &[]), Asked::Cards(0));
        assert_eq!(asked(Some("gpu:8"), &["--gpus-per-node=8", "--qos=long"]), Asked::Cards(8));
        assert_eq!(asked(None, &["--gpus-per-task=2"]), Asked::Cards(2));
        assert_eq!(asked(None, &["--exclusive"]), Asked::Untold("\"--exclusive\"".to_owned()));
    }
}
