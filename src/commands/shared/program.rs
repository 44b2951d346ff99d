//! A spec whose runs are trained by somebody else's program: where it trains, and what decides what it does.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;

use super::device;
use crate::columns::PROGRAM;
use crate::execute::rehearsal;
use crate::plan::PlannedRun;
#[cfg(unix)]
use crate::plan::Program;
use crate::spec::{self, Spec};
#[cfg(unix)]
use crate::spec::{Config, OwnModel};
use crate::trainer::{DeviceInfo, Trainer};

/// Whether runs on this device are the program's: a rehearsal trains nothing, by whatever program.
pub fn trains(spec: &Spec, device: &str) -> bool {
    !spec.train.command.is_empty() && device != rehearsal::DEVICE
}

/// What there is to say of a program that `train.command` names where it is not found here, and of words that nothing replaces.
pub fn doubts(spec: &Spec, device: &str) -> Vec<String> {
    let Some((name, words)) = spec.train.command.split_first().filter(|_| trains(spec, device)) else {
        return Vec::new();
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A name with a slash is a path; another one is looked for where shells look.
    let is_there = if name.contains('/') {
        Path::new(name).is_file()
    } else {
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    };
    let absent = (!is_there && !name.contains("{config}")).then(|| {
        format!(
            "train.command: {name:?} is not found on this machine; each run would fail. Install it, or write its path"
        )
    });
    let is_name = |inner: &str| inner != "config" && inner.chars().all(|c| c.is_alphanumeric() || "_.".contains(c));
    let kept = words.iter().find(|word| {
        let inner = word.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(inner, _)| inner);
        inner.is_some_and(|inner| !inner.is_empty() && is_name(inner))
    });
    let kept = kept.map(|word| {
        format!("train.command: {word:?} reaches the program as it is written; {{config}} alone is replaced, by a file that has all values")
    });
    absent.into_iter().chain(kept).chain(processes(words, spec.train.cards())).collect()
}

/// That `torchrun` is to start more processes than a run has cards.
fn processes(words: &[String], cards: usize) -> Option<String> {
    let each = |pair: &[String]| {
        let (flag, value) = pair[0].split_once('=').unwrap_or((&pair[0], pair.get(1).map_or("", String::as_str)));
        (flag.replace('_', "-") == "--nproc-per-node").then(|| value.parse::<usize>().ok()).flatten()
    };
    let asked = (0..words.len()).find_map(|at| each(&words[at..])).filter(|asked| *asked > cards)?;
    Some(format!(
        "train.command starts {asked} processes, and a run gets {cards} of the cards (CUDA_VISIBLE_DEVICES); write train.cards = {asked} \
         for a card each"
    ))
}

/// The hash of the files that decide what the program of a spec does; nothing where there is no program.
pub fn inputs(spec: &Spec) -> anyhow::Result<Option<String>> {
    if spec.train.command.is_empty() {
        return Ok(None);
    }
    let mut hash = blake3::Hasher::new();
    for path in &spec.train.inputs {
        let cannot =
            || format!("train.inputs: cannot read {}; name files, relative to the current directory", path.display());
        let mut content = blake3::Hasher::new();
        let file = File::open(path).with_context(cannot)?;
        content.update_reader(file).with_context(cannot)?;
        // Each by its own hash, so that a file cannot pass a part of itself to the next.
        hash.update(content.finalize().as_bytes());
    }
    Ok(Some(hash.finalize().to_hex()[..16].to_owned()))
}

/// Reads a spec with keys set, and asks `train.count.command` for the counts of models that nothing else counts.
pub fn load(path: &Path, set: &[String]) -> anyhow::Result<Spec> {
    let mut spec = spec::load_with(path, set)?;
    #[cfg(unix)]
    count(&mut spec)?;
    Ok(spec)
}

#[cfg(unix)]
fn count(spec: &mut Spec) -> anyhow::Result<()> {
    let Some(asked) = spec.train.count.as_ref().filter(|count| !count.command.is_empty()) else { return Ok(()) };
    let program = Program {
        command: asked.command.clone(),
        inputs: String::new(),
        config: Config::new(),
        size: None,
        patience_seconds: spec.train.patience(),
        step_patience_seconds: None,
        local: Config::new(),
        cards: None,
    };
    let (context, vocab, local) = (spec.model.context, spec.data.vocab, &spec.train.local);
    let told = serde_json::json!({ "context": context, "vocab": vocab, "local": local });
    let mut models = spec.sweep.as_ref().map_or_else(Vec::new, |sweep| sweep.models.clone());
    let uncounted = |model: &OwnModel| model.params.is_none() || model.flops_per_token.is_none();
    // A program may take seconds to load for each.
    match models.iter().filter(|model| uncounted(model)).count() {
        0 => {}
        count => tell!("asking {} for the counts of {count} models", program.command.join(" ")),
    }
    for (at, model) in models.iter_mut().enumerate() {
        if uncounted(model) {
            let config = spec.config_of(model);
            let counted = crate::execute::program::count(&program, &config, &told);
            let counts = counted.map_err(|what| {
                anyhow::anyhow!("train.count.command, asked for sweep.models[{at}], {:?}: {what}", model.told())
            })?;
            model.fill_in(counts);
            for (what, there) in [("params", model.params), ("flops_per_token", model.flops_per_token)] {
                anyhow::ensure!(
                    there.is_some(),
                    "train.count.command, asked for sweep.models[{at}], {:?}: it told no {what}; both params and flops_per_token \
                     are needed, in one line such as {{\"params\": 1.2e6, \"flops_per_token\": 7.5e6}}",
                    model.told()
                );
            }
        }
    }
    if let Some(sweep) = &mut spec.sweep {
        sweep.models = models;
    }
    spec.check_models()?;
    Ok(())
}

/// Where a program is told to train, where nobody says it: on NVIDIA's cards if there are any.
pub fn device(asked: &str, cards: usize) -> String {
    match asked {
        "auto" if cards > 0 => "cuda".to_owned(),
        "auto" => "cpu".to_owned(),
        other => other.to_owned(),
    }
}

/// What results say of where a program trains.
pub fn info(command: &[String], device: &str, threads: usize) -> DeviceInfo {
    DeviceInfo {
        kind: PROGRAM.to_owned(),
        name: command.join(" "),
        driver: device.to_owned(),
        threads,
        precision: "its own".to_owned(),
    }
}

/// The trainer of the runs of a folder: their program, or the device itself.
pub fn trainer(
    runs: &[PlannedRun],
    dir: &Path,
    (device, cache, threads): (&str, &Path, usize),
) -> anyhow::Result<Box<dyn Trainer>> {
    let program = runs.first().and_then(|planned| planned.run.program.as_ref());
    match program.filter(|_| device != rehearsal::DEVICE) {
        #[cfg(unix)]
        Some(program) => {
            let info = info(&program.command, device, threads);
            Ok(Box::new(crate::execute::program::ProgramTrainer::new(dir, cache, info)))
        }
        #[cfg(not(unix))]
        Some(_) => anyhow::bail!("train.command: programs are started on Unix only, not for {}", dir.display()),
        None => device::trainer(device, cache, threads),
    }
}
