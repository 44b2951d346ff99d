//! The slots of a sweep: on which device each is, and how its worker is kept there.

use std::path::Path;
use std::process::Command;

use super::device;
use crate::execute::rehearsal;

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The device by its name, as in `cuda:1`.
    pub device: String,
    /// Number of the slot on its device.
    pub index: usize,
}

/// Slots on every device of a list, device by device in turn, so that few runs spread over all devices.
pub fn slots(devices: &[String], per_device: usize) -> Vec<Slot> {
    let on_each = |index| devices.iter().map(move |device| Slot { device: device.clone(), index });
    (0..per_device).flat_map(on_each).collect()
}

/// Whether the runs of a device share one process: as asked for, or where they gain by it.
pub fn share(asked: Option<bool>, kind: &str) -> anyhow::Result<bool> {
    match asked {
        Some(true) if !matches!(kind, "cuda" | rehearsal::DEVICE) => anyhow::bail!(
            "--share-process: runs on {kind} are trained in processes of their own; only those on cuda can share one"
        ),
        asked => Ok(asked.unwrap_or(device::shares_process(kind))),
    }
}

/// Whether runs of one form are stepped together, as asked for, where they may be at all; `share` says whether they share a process,
/// and `by_program` whether somebody else's program trains them.
pub fn share_steps(asked: Option<bool>, (share, by_program): (bool, bool), kind: &str) -> anyhow::Result<Option<bool>> {
    anyhow::ensure!(
        asked != Some(true) || !by_program,
        "--share-steps: the program of train.command takes its steps itself; leave --share-steps out"
    );
    anyhow::ensure!(
        asked != Some(true) || kind == "cuda",
        "--share-steps: runs on {kind} take their steps one by one; only those on cuda can share launches"
    );
    anyhow::ensure!(
        asked != Some(true) || share,
        "--share-steps: only runs of one process can share launches; leave --share-process=false out"
    );
    Ok(if share && kind == "cuda" { asked } else { Some(false) })
}

/// Processes of a device, and runs side by side in each: no more than the runs that it has to train.
pub fn divide(per_device: usize, share: bool, runs: usize) -> (usize, usize) {
    if share { (1, per_device.min(runs).clamp(1, MOST_RUNS)) } else { (per_device, 1) }
}

/// Runs that one process trains side by side at most.
const MOST_RUNS: usize = 64;

/// The devices of a sweep: those asked for, or all of the kind of `device`.
pub fn devices(asked: &[String], device: &str) -> anyhow::Result<Vec<String>> {
    if asked.is_empty() {
        return Ok(all(device, gpus()));
    }
    let cards = device::cards().len();
    let mut devices = Vec::new();
    for name in asked {
        let kind = device::kind(name)?;
        if kind != device::kind(&asked[0])? {
            anyhow::bail!("--devices {}: one sweep trains on one kind of device", asked.join(","));
        }
        if devices.contains(name) {
            anyhow::bail!("--devices names {name} twice; for more runs side by side give --slots-per-device");
        }
        if name == "auto" {
            anyhow::bail!("--devices auto: name devices here, as in cuda:0,cuda:1, or give --device auto");
        }
        check_number(name, cards, variable().as_deref())?;
        devices.push(name.clone());
    }
    Ok(devices)
}

/// Devices in groups of so many cards, each of which is one device to its slots, in the order of the list: `cuda:0-7`.
pub fn groups(devices: Vec<String>, cards: usize) -> anyhow::Result<Vec<String>> {
    if cards == 1 {
        return Ok(devices);
    }
    let kind = device::kind(&devices[0])?;
    anyhow::ensure!(
        kind == "cuda",
        "train.cards = {cards}: {kind} has no NVIDIA cards; train with --device cuda, or try the program out with --set train.cards=1, \
         which makes the same runs"
    );
    let numbers: Vec<&str> = devices.iter().filter_map(|name| name.strip_prefix("cuda:")).collect();
    anyhow::ensure!(
        numbers.len() == devices.len(),
        "train.cards = {cards}: how many cards there are is not shown here; name them, as in --devices cuda:0,cuda:1"
    );
    let count = numbers.len();
    let shown = devices.join(",");
    anyhow::ensure!(
        count >= cards,
        "train.cards = {cards} and --devices {shown}: a run takes more cards than there are; name {cards} of them with --devices, or \
         write train.cards = {count}, which makes the same runs"
    );
    let whole = count / cards * cards;
    let left = devices[whole..].join(",");
    anyhow::ensure!(
        whole == count,
        "train.cards = {cards} and {count} cards: {left} would have nothing to do; leave it out, with --devices {}, or write a number that \
         divides {count}",
        devices[..whole].join(",")
    );
    Ok(numbers.chunks(cards).map(|group| format!("cuda:{}", told(group))).collect())
}

/// The kind of a device, or of a group of cards.
pub fn kind(device: &str) -> anyhow::Result<&str> {
    match device.split_once(':') {
        Some((kind, group)) if group.contains(['-', '+']) => Ok(kind),
        _ => device::kind(device),
    }
}

/// The numbers of a group, of which [`members`] gives them back: `0-7`, or `0+2` where they do not follow each other.
fn told(group: &[&str]) -> String {
    let next = |pair: &[&str]| {
        let number = |text: &str| text.parse::<usize>().ok();
        number(pair[0]).zip(number(pair[1])).is_some_and(|(one, other)| other == one + 1)
    };
    match group {
        [first, .., last] if group.windows(2).all(next) => format!("{first}-{last}"),
        group => group.join("+"),
    }
}

/// The numbers of the cards of a device, or of a group of them.
fn members(index: &str) -> Vec<usize> {
    let number = |text: &str| text.parse().unwrap_or(0);
    match index.split_once('-') {
        Some((first, last)) => (number(first)..=number(last)).collect(),
        None => index.split('+').map(number).collect(),
    }
}

/// Refuses a number beyond the cards that the driver shows, where it shows some: others may belong to somebody else.
fn check_number(name: &str, cards: usize, visible: Option<&str>) -> anyhow::Result<()> {
    let number = name.strip_prefix("cuda:").and_then(|number| number.parse::<usize>().ok());
    if cards == 0 || number.is_none_or(|number| number < cards) {
        return Ok(());
    }
    let shown = visible.map_or_else(|| "there are".to_owned(), |list| format!("CUDA_VISIBLE_DEVICES={list} shows"));
    anyhow::bail!("--devices {name}: {shown} {cards} cards; give numbers up to {}", cards - 1)
}

/// Every device that a name stands for: `cuda` for all GPUs of NVIDIA that this process may see, another for itself.
fn all(device: &str, gpus: usize) -> Vec<String> {
    match (device, gpus) {
        ("cuda", count @ 1..) => (0..count).map(|index| format!("cuda:{index}")).collect(),
        _ => vec![device.to_owned()],
    }
}

/// What `CUDA_VISIBLE_DEVICES` leaves of so many GPUs, if it is set, as CUDA reads it: up to the first entry that is none,
/// and nothing at all where one is named twice.
fn visible(list: Option<&str>, gpus: Option<usize>) -> Option<Vec<String>> {
    let is_one = |name: &&str| match name.parse::<usize>() {
        Ok(number) => gpus.is_none_or(|gpus| number < gpus),
        Err(_) => name.starts_with("GPU-") || name.starts_with("MIG-"),
    };
    let list: Vec<String> = list?.split(',').map(str::trim).take_while(is_one).map(str::to_owned).collect();
    let twice = list.iter().enumerate().any(|(at, name)| list[..at].contains(name));
    Some(if twice { Vec::new() } else { list })
}

fn variable() -> Option<String> {
    std::env::var("CUDA_VISIBLE_DEVICES").ok()
}

/// GPUs of NVIDIA that this process may see: by the driver, or, where nothing here speaks to it, by what its module lists.
pub fn gpus() -> usize {
    match device::cards().len() {
        0 => {
            let listed = std::fs::read_dir("/proc/driver/nvidia/gpus").ok().map(Iterator::count);
            visible(variable().as_deref(), listed).map_or(listed.unwrap_or(0), |list| list.len())
        }
        cards => cards,
    }
}

/// Adds to a worker's command what keeps it on the device of its slot. Cores are given out where the slots of the CPU use
/// all of them: otherwise the system knows better which are free.
pub fn pin(command: &mut Command, slot: &Slot, threads: usize, per_device: usize) {
    let (kind, index) = slot.device.split_once(':').unwrap_or((&slot.device, "0"));
    let mut name = slot.device.clone();
    match kind {
        "cuda" => {
            let list = visible(variable().as_deref(), None);
            let name_of = |at: usize| match &list {
                Some(list) => list.get(at).cloned(),
                None => Some(at.to_string()),
            };
            // What is not in the list is somebody else's, and a part of a group is no group.
            let gpus: Option<Vec<String>> = members(index).into_iter().map(name_of).collect();
            command.env("CUDA_VISIBLE_DEVICES", gpus.map_or_else(|| "-1".to_owned(), |gpus| gpus.join(",")));
            // The only one that it sees, or the first of its group.
            "cuda:0".clone_into(&mut name);
        }
        "cpu" | rehearsal::DEVICE if per_device * threads == device::cores() => {
            let first = slot.index * threads;
            command.args(["--cores", &format!("{first}-{}", first + threads - 1)]);
        }
        _ => {}
    }
    command.args(["--device", &name, "--label", &slot.device]);
}

/// Limits this process to some of the cores that it may use, by their place among them, as in `2-3`. Losses do not depend
/// on it, so that nothing is said where the system refuses.
pub fn use_cores(range: &str) -> anyhow::Result<()> {
    let ends = range.split_once('-').map(|(first, last)| (first.parse::<usize>(), last.parse::<usize>()));
    let Some((Ok(first), Ok(last))) = ends else { anyhow::bail!("--cores {range}: write a range, as in 0-1") };
    #[cfg(target_os = "linux")]
    if let Ok(allowed) = rustix::thread::sched_getaffinity(None) {
        use rustix::thread::{CpuSet, sched_setaffinity};
        let mut set = CpuSet::new();
        let mine = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).skip(first).take(last + 1 - first);
        mine.for_each(|core| set.set(core));
        let _ = sched_setaffinity(None, &set);
    }
    Ok(())
}

/// The command of a worker, still without its device.
pub fn worker(program: &Path, dir: &Path, cache: &Path, threads: usize, checkpoint_every: f64) -> Command {
    let mut command = Command::new(program);
    command.arg("worker").arg("--sweep").arg(dir).arg("--cache").arg(cache);
    command.arg("--threads").arg(threads.to_string()).env("RAYON_NUM_THREADS", threads.to_string());
    command.arg("--checkpoint-every").arg(checkpoint_every.to_string());
    command.envs(device::settings());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_stands_for_all_gpus_that_can_be_seen_and_the_first_slots_are_on_different_ones() {
        assert_eq!(all("cuda", 2), ["cuda:0", "cuda:1"]);
        assert_eq!(all("cuda:1", 2), ["cuda:1"]);
        assert_eq!(all("cpu", 2), ["cpu"]);
        let names: Vec<_> = slots(&all("cuda", 2), 2).into_iter().map(|slot| slot.device).collect();
        assert_eq!(names, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]);
    }

    #[test]
    fn the_list_of_cards_is_read_as_cuda_reads_it() {
        for (list, seen) in [
            ("0,1", &["0", "1"][..]),
            (" 1 , GPU-7,MIG-3", &["1", "GPU-7", "MIG-3"]),
            ("0,-1,1", &["0"]),
            ("0,9,1", &["0"]),
            ("1,,0", &["1"]),
            ("0,1,0", &[]),
            ("", &[]),
            ("NoDevFiles", &[]),
        ] {
            assert_eq!(visible(Some(list), Some(4)).unwrap(), seen, "{list}");
        }
        assert_eq!(visible(None, Some(4)), None);
        assert_eq!(visible(Some("9"), None).unwrap(), ["9"], "nobody knows how many there are");
    }

    #[test]
    fn a_card_that_was_not_given_to_this_process_is_refused() {
        check_number("cuda:1", 2, Some("0,1")).unwrap();
        check_number("cuda:3", 0, None).unwrap();
        check_number("cpu", 2, None).unwrap();
        let error = check_number("cuda:3", 2, Some("4,5")).unwrap_err().to_string();
        assert_eq!(error, "--devices cuda:3: CUDA_VISIBLE_DEVICES=4,5 shows 2 cards; give numbers up to 1");
        let error = check_number("cuda:2", 2, None).unwrap_err().to_string();
        assert!(error.contains("there are 2 cards"), "{error}");
    }

    #[test]
    fn steps_are_shared_on_cuda_in_one_process_alone() {
        assert_eq!(share_steps(None, (true, false), "cuda").unwrap(), None, "to be measured");
        assert_eq!(share_steps(Some(true), (true, false), "cuda").unwrap(), Some(true));
        for (asked, share, kind) in
            [(None, false, "cuda"), (None, true, rehearsal::DEVICE), (Some(false), true, "cuda")]
        {
            assert_eq!(share_steps(asked, (share, false), kind).unwrap(), Some(false), "{kind}");
        }
        for (share, kind, said) in [(false, "cuda", "--share-process=false"), (true, "wgpu", "runs on wgpu")] {
            let error = share_steps(Some(true), (share, false), kind).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("--share-steps"), "{error}");
        }
        let error = share_steps(Some(true), (false, true), "cuda").unwrap_err().to_string();
        assert!(error.contains("train.command"), "{error}");
    }

    #[test]
    fn runs_share_a_process_on_cuda_or_where_a_rehearsal_is_asked_to() {
        assert!(share(None, "cuda").unwrap() && share(Some(true), rehearsal::DEVICE).unwrap());
        for (asked, kind) in [(None, "cpu"), (None, "wgpu"), (None, rehearsal::DEVICE), (Some(false), "cuda")] {
            assert!(!share(asked, kind).unwrap(), "{kind}");
        }
        for kind in ["cpu", "wgpu", "burn-cuda"] {
            let error = share(Some(true), kind).unwrap_err().to_string();
            assert!(error.contains(kind) && error.contains("--share-process"), "{error}");
        }
        assert_eq!([divide(4, false, 2), divide(4, true, 9), divide(4, true, 2)], [(4, 1), (1, 4), (1, 2)]);
        assert_eq!([divide(4, true, 0), divide(1000, true, 1000)], [(1, 1), (1, MOST_RUNS)]);
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        for (list, word) in [(&["cuda:0", "cuda:0"][..], "twice"), (&["cuda:0", "cpu"], "one kind"), (&["tpu"], "tpu")]
        {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            let error = devices(&list, "auto").unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn groups_of_cards_are_whole_or_refused_with_what_to_do() {
        let cards = |numbers: &[usize]| numbers.iter().map(|number| format!("cuda:{number}")).collect::<Vec<_>>();
        for (numbers, each, expected) in [
            (&[0, 1, 2, 3][..], 2, &["cuda:0-1", "cuda:2-3"][..]),
            (&[0, 2, 5, 3], 2, &["cuda:0+2", "cuda:5+3"]),
            (&[4, 5, 6], 3, &["cuda:4-6"]),
            (&[0, 1], 1, &["cuda:0", "cuda:1"]),
        ] {
            let groups = groups(cards(numbers), each).unwrap();
            assert_eq!(groups, expected);
            let back: Vec<usize> = groups.iter().flat_map(|group| members(&group["cuda:".len()..])).collect();
            assert_eq!(back, numbers);
        }
        let refused = |devices: &[String], each| groups(devices.to_vec(), each).unwrap_err().to_string();
        for (devices, each, said) in [
            (cards(&[0, 1]), 8, "name 8 of them with --devices, or write train.cards = 2"),
            (cards(&[0, 1, 2]), 2, "cuda:2 would have nothing to do; leave it out, with --devices cuda:0,cuda:1"),
            (vec!["cuda".to_owned()], 2, "as in --devices cuda:0,cuda:1"),
            (vec!["cpu".to_owned()], 2, "cpu has no NVIDIA cards"),
        ] {
            assert!(refused(&devices, each).contains(said), "{}", refused(&devices, each));
        }
    }

    #[test]
    fn a_worker_of_a_group_sees_its_cards() {
        let mut command = Command::new("runner");
        pin(&mut command, &Slot { device: "cuda:2-3".to_owned(), index: 0 }, 1, 1);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(args, ["--device", "cuda:0", "--label", "cuda:2-3"]);
    }

    #[test]
    fn a_worker_of_a_gpu_sees_that_one_alone() {
        let mut command = Command::new("runner");
        pin(&mut command, &Slot { device: "cuda:1".to_owned(), index: 0 }, 1, 1);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(args, ["--device", "cuda:0", "--label", "cuda:1"]);
        assert!(command.get_envs().any(|(name, value)| name == "CUDA_VISIBLE_DEVICES" && value.is_some()));
    }
}
