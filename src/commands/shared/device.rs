//! The trainer of a device by its name on the command line. Here because `execute` knows no devices.

use std::path::Path;

use crate::execute::rehearsal::{self, Rehearsal};
use crate::plan::{Plan, PlannedRun};
use crate::spec::Precision;
use crate::trainer::{Listed, Missing, Trainer};

/// What the environment of a process that trains must hold: freed pages stay with it, since the next step takes them
/// again. By default mimalloc returns them after 10 ms, and 3 to 5% of a step went into zeroed pages.
const KEEP_PAGES: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");

/// What the environment of processes that train beside each other, or several runs at once, is given where nothing is set: pages
/// are kept, and each stream of a card has a queue of its own; by default eight queues serve all.
pub fn settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    [KEEP_PAGES, ("CUDA_DEVICE_MAX_CONNECTIONS", "32")].into_iter().filter(|(name, _)| std::env::var_os(name).is_none())
}

/// Puts this command in its own place once more, with pages kept: mimalloc asks when a process begins. A process that trains by
/// itself, beside others that want its cores, spends up to a quarter of its time on pages otherwise. Whoever sets the variable
/// decides.
pub fn keep_pages() {
    again(&[KEEP_PAGES]);
}

/// The same with all that workers have, so that what this process measures on a card holds for them.
pub fn as_worker() {
    again(&settings().collect::<Vec<_>>());
}

/// Puts this command in its own place once more, with those of these settings that are not set.
fn again(wanted: &[(&str, &str)]) {
    #[cfg(unix)]
    if let (Some(missing), Ok(program)) = (missing(wanted), std::env::current_exe()) {
        use std::os::unix::process::CommandExt as _;
        let mut arguments = std::env::args_os();
        let mut command = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        // It returns only where it fails, and then training is slower and nothing else.
        let _ = command.args(arguments).envs(missing).exec();
    }
    #[cfg(not(unix))]
    let _ = wanted;
}

/// Settings that are not set, if any.
#[cfg(unix)]
fn missing<'a>(wanted: &[(&'a str, &'a str)]) -> Option<Vec<(&'a str, &'a str)>> {
    let missing: Vec<_> = wanted.iter().copied().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    (!missing.is_empty()).then_some(missing)
}

/// Refuses `--threads` that no machine has.
pub fn check_threads(threads: usize) -> anyhow::Result<()> {
    let most = 4 * cores();
    if threads > most {
        anyhow::bail!("--threads {threads} is more than 4 per core; give at most {most}");
    }
    Ok(())
}

/// Opens a device: `rehearsal`, or one that this build can train on.
pub fn trainer(device: &str, cache: &Path, threads: usize) -> anyhow::Result<Box<dyn Trainer>> {
    check_threads(threads)?;
    if device == rehearsal::DEVICE {
        return Ok(Box::new(Rehearsal));
    }
    real(device, cache, threads)
}

/// The device that `auto` stands for, told with the reason on stderr; any other name as it is.
pub fn choose(name: &str) -> String {
    match chosen(&real_devices()) {
        Some((device, why)) if name == "auto" => {
            tell!("auto chose {device}{why}");
            device
        }
        _ => name.to_owned(),
    }
}

/// The first device that can be used, and why none before it.
fn chosen(devices: &[Listed]) -> Option<(String, String)> {
    let mut passed = Vec::new();
    for Listed { name, state, software } in devices {
        let reason = match state {
            Ok(_) if *software => "only in software, slower than the CPU itself",
            Ok(_) if passed.is_empty() => return Some(((*name).to_owned(), String::new())),
            Ok(_) => return Some(((*name).to_owned(), format!(": {}", passed.join(", ")))),
            Err(Missing::NotCompiled { .. }) => "not compiled in",
            Err(Missing::Absent { what, .. }) => what,
        };
        passed.push(format!("{name} is not available ({reason})"));
    }
    None
}

/// The kind of a device by its name, without opening it: `cuda` of `cuda:1`.
pub fn kind(name: &str) -> anyhow::Result<&str> {
    let (kind, index) = name.split_once(':').map_or((name, None), |(kind, index)| (kind, Some(index)));
    // There is one CPU, and GPUs are numbered.
    let numbered = |index: &str| matches!(kind, "wgpu" | "cuda" | "burn-cuda") && index.parse::<usize>().is_ok();
    match kind {
        _ if !index.is_none_or(numbered) => {
            anyhow::bail!("--device {name}: no such device; only GPUs have numbers, as in cuda:1")
        }
        // Still `auto` where nothing is there to train on: planned as if for the CPU.
        "auto" => Ok("cpu"),
        "cpu" | "wgpu" | "cuda" | "burn-cuda" | rehearsal::DEVICE => Ok(kind),
        _ => anyhow::bail!("--device {name}: no such device; write auto, cpu, wgpu, cuda, cuda:1, or rehearsal"),
    }
}

/// The kind of a device by its name, or of the one that `auto` stands for on this machine.
pub fn kind_chosen(name: &str) -> anyhow::Result<String> {
    Ok(kind(&choose(name))?.to_owned())
}

/// Fails for a device that this build cannot train on, wherever it is started. Whether the device is there is another
/// question, which this machine cannot answer for another.
pub fn require_compiled(name: &str) -> anyhow::Result<()> {
    let kind = name.split(':').next().unwrap_or(name);
    match list().into_iter().find(|listed| listed.name == kind).map(|listed| listed.state) {
        Some(Err(missing @ Missing::NotCompiled { .. })) => anyhow::bail!("device {name}: {missing}"),
        _ => Ok(()),
    }
}

/// Fails where runs of a plan want numbers that a kind of device does not compute in, before any of them is begun.
pub fn require_precision(kind: &str, plan: &Plan) -> anyhow::Result<()> {
    let mut wanted = plan.runs.iter().map(|planned| planned.run.precision);
    let Some(precision) = wanted.find(|precision| kind != rehearsal::DEVICE && !computes_in(kind, *precision)) else {
        return Ok(());
    };
    anyhow::bail!(precision.refused(kind))
}

#[cfg(feature = "train")]
fn computes_in(kind: &str, precision: Precision) -> bool {
    crate::train::computes_in(kind, precision)
}

/// Without training nothing computes here.
#[cfg(not(feature = "train"))]
fn computes_in(kind: &str, precision: Precision) -> bool {
    kind == "cuda" || precision == Precision::F32
}

#[cfg(feature = "train")]
fn real(device: &str, cache: &Path, threads: usize) -> anyhow::Result<Box<dyn Trainer>> {
    Ok(crate::train::open(device, cache, threads)?)
}

#[cfg(not(feature = "train"))]
fn real(device: &str, _cache: &Path, _threads: usize) -> anyhow::Result<Box<dyn Trainer>> {
    anyhow::bail!(
        "device {device}: this build cannot train; build it with `cargo build --release --features cpu` (or wgpu, or \
         cuda), or rehearse the sweep with --device rehearsal"
    )
}

/// Every device with what it is, or the reason why it cannot be used.
pub fn list() -> Vec<Listed> {
    let rehearsal = "does not train: losses come from a known surface, to test a sweep before training it";
    let mut devices = real_devices();
    devices.push(Listed { name: rehearsal::DEVICE, state: Ok(rehearsal.to_owned()), software: false });
    devices
}

#[cfg(feature = "train")]
fn real_devices() -> Vec<Listed> {
    crate::train::devices()
}

#[cfg(not(feature = "train"))]
fn real_devices() -> Vec<Listed> {
    let listed = |name| Listed { name, state: Err(Missing::NotCompiled { feature: name }), software: false };
    ["cuda", "wgpu", "cpu"].map(listed).to_vec()
}

/// Cards of NVIDIA by name and number, as far as the driver shows them to this process.
#[cfg(feature = "train")]
pub fn cards() -> Vec<String> {
    crate::train::cards()
}

/// Without an engine nobody asks the driver.
#[cfg(not(feature = "train"))]
pub fn cards() -> Vec<String> {
    Vec::new()
}

/// Whether runs side by side gain by being threads of one process: processes have contexts of their own, which take turns on a
/// card.
pub fn shares_process(kind: &str) -> bool {
    kind == "cuda"
}

/// Runs trained side by side: as asked for, or as many as the cores hold on the CPU, otherwise 1.
pub fn slots(asked: Option<usize>, kind: &str, threads: usize) -> usize {
    match asked {
        Some(slots) => slots,
        None if kind == "cpu" || kind == rehearsal::DEVICE => (cores() / threads).max(1),
        None => 1,
    }
}

/// Runs that a card trains side by side, where nobody asked for a number, and whether those of one form are stepped together:
/// measured on the smallest and the largest of those that are left, and told.
#[cfg(feature = "train")]
pub fn side_by_side(
    device: &str,
    cache: &Path,
    runs: &[&PlannedRun],
    (most, together): (usize, Option<bool>),
) -> anyhow::Result<(usize, bool)> {
    let size = |run: &&&PlannedRun| run.params.total();
    let (Some(smallest), Some(largest)) = (runs.iter().min_by_key(size), runs.iter().max_by_key(size)) else {
        return Ok((1, false));
    };
    let together = if largest_company(runs) > 1 { together } else { Some(false) };
    let measured = crate::train::SideBySide::measure(device, cache, [smallest, largest], (most, together))?;
    tell!("runs side by side on {device}: {measured}");
    let crate::train::Chosen { runs, together } = measured.chosen();
    Ok((runs, together))
}

/// Runs of the largest group whose steps are the same work.
#[cfg(feature = "train")]
fn largest_company(runs: &[&PlannedRun]) -> usize {
    let mut groups: Vec<(&PlannedRun, usize)> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|(first, _)| first.run.steps_as(&run.run)) {
            Some((_, count)) => *count += 1,
            None => groups.push((run, 1)),
        }
    }
    groups.into_iter().map(|(_, count)| count).max().unwrap_or_default()
}

/// Without a device there is nothing to measure.
#[cfg(not(feature = "train"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as with a device, where measuring may fail")]
pub fn side_by_side(_: &str, _: &Path, _: &[&PlannedRun], _: (usize, Option<bool>)) -> anyhow::Result<(usize, bool)> {
    Ok((1, false))
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_the_first_device_that_is_there_and_says_why_none_before_it() {
        let listed = |name, state| Listed { name, state, software: false };
        let devices = [
            listed("cuda", Err(Missing::NotCompiled { feature: "cuda" })),
            listed("wgpu", Err(Missing::Absent { what: "no driver".to_owned(), remedy: "install one" })),
            listed("cpu", Ok("some processor".to_owned())),
        ];
        let why = ": cuda is not available (not compiled in), wgpu is not available (no driver)";
        assert_eq!(chosen(&devices), Some(("cpu".to_owned(), why.to_owned())));
        assert_eq!(chosen(&devices[..2]), None);
        // What is only software is skipped, and taken where it is asked for.
        let software = Listed { software: true, ..listed("wgpu", Ok("lavapipe".to_owned())) };
        let (name, why) = chosen(&[software.clone(), devices[2].clone()]).unwrap();
        assert!(name == "cpu" && why.contains("wgpu is not available (only in software"), "{why}");
        assert_eq!(chosen(&[software]), None);
    }

    #[test]
    fn a_precision_is_asked_of_a_device_that_has_it_or_of_a_rehearsal() {
        let mut plan = crate::plan::testing::plan(2);
        require_precision("cpu", &plan).unwrap();
        plan.runs[1].run.precision = Precision::Tf32;
        for kind in ["cpu", "wgpu", "burn-cuda"] {
            let error = require_precision(kind, &plan).unwrap_err().to_string();
            assert!(error.contains(&format!("\"tf32\": the device {kind} does not compute in it")), "{error}");
        }
        for kind in ["cuda", rehearsal::DEVICE] {
            require_precision(kind, &plan).unwrap();
        }
        // Whether the processor has it is seen where it trains; no other kind has it but cuda.
        plan.runs[1].run.precision = Precision::Bf16;
        let refused = require_precision("burn-cuda", &plan).unwrap_err().to_string();
        assert!(refused.contains("or on a processor with AVX512-BF16"), "{refused}");
        let error = require_precision("cpu", &plan).err().map(|error| error.to_string());
        assert!(error.is_none_or(|error| error.contains("\"bf16\": the device cpu")));
    }

    #[test]
    fn only_gpus_have_numbers() {
        assert_eq!(kind("cuda:1").unwrap(), "cuda");
        for name in ["cpu:3", "cuda:x", "rehearsal:0", "auto:1", "abacus"] {
            assert!(kind(name).unwrap_err().to_string().contains("no such device"), "{name}");
        }
    }

    #[test]
    fn a_gpu_has_one_slot_and_the_cpu_one_for_each_of_its_cores() {
        assert_eq!(slots(None, kind("cuda:1").unwrap(), 1), 1);
        assert_eq!(slots(None, kind("cpu").unwrap(), 1), cores());
        assert_eq!(slots(Some(3), "cuda", 1), 3);
        assert!(kind("tpu").is_err());
    }

    #[test]
    fn threads_beyond_reason_are_refused_with_the_limit() {
        let most = 4 * cores();
        assert!(trainer(rehearsal::DEVICE, Path::new("cache"), most).is_ok());
        let error = trainer(rehearsal::DEVICE, Path::new("cache"), most + 1).err().unwrap().to_string();
        assert!(error.contains(&format!("at most {most}")), "{error}");
    }
}
