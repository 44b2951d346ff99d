//! What a program is told of its run: `config.json` in the run's folder.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::observation::Counting;
use crate::plan::{PlannedRun, Program, Run};
use crate::whole;

/// The version of this file: raised where a key changes its meaning.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Description<'a> {
    format: u32,
    /// The run's identity.
    run: &'a str,
    /// A folder of the run's own, the same in every attempt: for checkpoints, which only the program reads.
    folder: String,
    /// The folder with the tokens of the corpus: `train.u16`, `validation.u16` and `tokenizer.json`, with `ids.u32` where
    /// its ids were renumbered; nothing for the built-in language.
    corpus: Option<String>,
    /// Where to train, as in `cuda:0`; `auto` leaves it to the program.
    device: &'a str,
    /// NVIDIA cards that are its own, those of `CUDA_VISIBLE_DEVICES`; none on the CPU.
    cards: usize,
    threads: usize,
    seed: u64,
    /// Training tokens.
    tokens: u64,
    /// Steps of `tokens_per_step` tokens each.
    steps: usize,
    tokens_per_step: usize,
    /// Parameters of the model, by convention.
    params: u64,
    params_blocks_and_unembedding: Option<u64>,
    params_non_embedding: Option<u64>,
    /// Training FLOPs, and the budget that they meet.
    flops: f64,
    flop_budget: Option<f64>,
    /// The values of the sweep's axes that led here.
    axes: &'a std::collections::BTreeMap<String, String>,
    /// The program's own configuration: `train.config`, and the `config` of its model.
    config: &'a crate::spec::Config,
    /// Keys of its own that decide nothing: `train.local`.
    local: &'a crate::spec::Config,
    /// The name of its model, where the program alone knows its shape.
    model: Option<String>,
    /// Every resolved value: shape, optimizer, schedule, data.
    resolved: &'a Run,
}

/// Writes the file of a run and returns its path.
pub(super) fn write(
    (folder, corpus): (&Path, &Path),
    (run, program): (&PlannedRun, &Program),
    device: &str,
    threads: usize,
) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let corpus = std::path::absolute(corpus)?;
    let described = Description {
        format: FORMAT,
        run: run.id.as_str(),
        folder: folder.display().to_string(),
        corpus: corpus.join("train.u16").exists().then(|| corpus.display().to_string()),
        device,
        cards: if device == "cpu" { 0 } else { program.cards.unwrap_or(1) },
        threads,
        seed: run.run.seed,
        tokens: run.tokens,
        steps: run.run.schedule.steps,
        tokens_per_step: run.run.tokens_per_step(),
        params: run.params.total(),
        params_blocks_and_unembedding: run.params_by(Counting::BlocksAndUnembedding),
        params_non_embedding: run.params_by(Counting::NonEmbedding),
        flops: run.flops,
        flop_budget: run.run.flop_budget,
        axes: &run.axes,
        config: &program.config,
        local: &program.local,
        model: run.own_size().map(|size| size.name.clone()),
        resolved: &run.run,
    };
    let path = folder.join("config.json");
    whole::write_unsynced(&path, &serde_json::to_vec_pretty(&described)?)?;
    Ok(path)
}
