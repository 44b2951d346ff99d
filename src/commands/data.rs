//! `runner data`: prepare a corpus, or tell what is in it.

#[cfg(feature = "train")]
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::shared::json;
use super::shared::sheet::{Room, Sheet};
use super::shared::stdout;
#[cfg(feature = "train")]
use super::shared::{claim, device::check_threads, kept_model::kept_model, stdout::STDOUT};
use crate::cli::{DataArgs, DataCommand, ScoreArgs};
use crate::data::{BinFacts, Corpus, KeptFacts, ORIGINAL_IDS, PartFacts, TextFacts, TokenDocuments};
use crate::paths;
use crate::spec::{self, Data, KeepBy, Spec};
use crate::units::Tokens;
#[cfg(feature = "train")]
use crate::{checkpoint, ledger::Ledger, train, whole};

/// Runs the command.
pub fn run(command: &DataCommand) -> anyhow::Result<ExitCode> {
    match command {
        DataCommand::Prepare(args) => {
            let (spec, cache) = read(args)?;
            let (data, context) = (&spec.data, spec.model.context);
            show(args, &Corpus::prepare(data, context, cache, &mut |line| tell!("{line}"))?, data)
        }
        DataCommand::Info(args) => {
            let (spec, cache) = read(args)?;
            let corpus = Corpus::cached(&spec.data, spec.model.context, cache)?.with_context(|| {
                let (cache, spec) = (cache.display(), paths::shown(&args.spec));
                format!("this corpus is not in the cache {cache}; make it with `runner data prepare {spec}`")
            })?;
            show(args, &corpus, &spec.data)
        }
        DataCommand::Score(args) => score(args),
    }
}

fn read(args: &DataArgs) -> anyhow::Result<(Spec, &Path)> {
    Ok((spec::load_with(&args.spec, &args.overrides.set)?, &args.cache))
}

fn show(args: &DataArgs, corpus: &Corpus, data: &Data) -> anyhow::Result<ExitCode> {
    if let Some(uneven) = corpus.uneven(data) {
        tell!("warning: {uneven}");
    }
    if args.json {
        let facts = corpus.facts();
        let entropy = corpus.entropy().map(|entropy| [entropy.nats_per_token, entropy.standard_error]);
        json::print(json!({
            "vocab": facts.vocab, "train_tokens": facts.train_tokens, "validation_tokens": facts.validation_tokens,
            "fingerprint": facts.fingerprint, "entropy": entropy, "manifest": corpus.manifest(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    stdout::print(&table(corpus, data).text(Room::of(false)))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "train"))]
fn score(_: &ScoreArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build cannot train, and so has no models; build with: cargo build --release")
}

/// Writes the loss of each document under a trained model.
#[cfg(feature = "train")]
fn score(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let ScoreArgs { dir, run, out, device, threads, cache } = args;
    check_threads(*threads)?;
    let to_stdout = out == Path::new("-");
    if !to_stdout {
        claim::not_of_results(out)?;
    }
    let ledger = Ledger::open(dir)?;
    let (planned, path) = kept_model(&ledger, run.as_deref(), None)?;
    let weights = checkpoint::weights(planned, &path)?;
    let mut shown = 0.0;
    let mut hear = |done: f64| {
        if done >= shown + 0.1 {
            shown = done;
            tell!("[{:.0}%] scoring by run {}", 100.0 * done, planned.id);
        }
    };
    let mut scored = Ok(Vec::new());
    let mut score = |file: &mut dyn Write| {
        scored = train::document_losses(device, cache, *threads, (planned, &weights), &mut hear);
        let losses = scored.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        losses.iter().try_for_each(|loss| writeln!(file, "{loss:.6}"))
    };
    // Begun before what takes long: a place that cannot be written is told at once, and scores that are there stay until there
    // are others.
    let written = if to_stdout { score(&mut io::stdout()) } else { whole::fill(out, &mut score) };
    let losses = scored?;
    let unwritable = || if to_stdout { STDOUT.to_owned() } else { format!("cannot write {}", out.display()) };
    written.with_context(unwritable)?;
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let place = if to_stdout { String::new() } else { format!(", in {}", out.display()) };
    tell!("{} documents, {mean:.3} nats per token in the mean over them{place}", losses.len());
    Ok(ExitCode::SUCCESS)
}

fn table(corpus: &Corpus, data: &Data) -> Sheet {
    let shares = data.shares();
    let facts = corpus.facts();
    let count = |tokens: Option<u64>| match tokens {
        Some(tokens) => format!("{tokens} ({})", Tokens(tokens as f64)),
        None => "unlimited".to_owned(),
    };
    let mut table = Sheet::pairs();
    table.add_row(["vocabulary", &facts.vocab.to_string()]);
    table.add_row(["training tokens", &count(facts.train_tokens)]);
    table.add_row(["validation tokens", &count(facts.validation_tokens)]);
    if let Some(text) = &corpus.manifest().text {
        of_text(text, facts.vocab, &mut table);
    }
    if let Some(files) = &corpus.manifest().bin {
        of_token_files(files, facts.vocab, &mut table);
    }
    for (at, part) in corpus.manifest().parts.iter().enumerate() {
        let PartFacts { name, share, train_tokens, validation_tokens, documents, validation_documents } = part;
        let name = name.as_ref().map_or_else(|| format!("part {}", at + 1), |name| format!("part {name}"));
        let share = share.map(|share| f64::from(share) / 65_536.0).or_else(|| Some(shares.get(at)?.1));
        let value = format!(
            "{:.3}% of the tokens, from {} of training and {} of validation ({documents} documents, \
             {validation_documents} held out)",
            100.0 * share.unwrap_or_default(),
            Tokens(*train_tokens as f64),
            Tokens(*validation_tokens as f64),
        );
        table.add_row([name, value]);
    }
    if let Some(kept) = &corpus.manifest().kept {
        of_kept(kept, &mut table);
    }
    if let Some(entropy) = corpus.entropy() {
        let value = format!("{:.4} +- {:.4} nats per token", entropy.nats_per_token, entropy.standard_error);
        table.add_row(["entropy", &value]);
    }
    table.add_row(["fingerprint", &facts.fingerprint]);
    table
}

/// Rows of a corpus that was read from texts.
fn of_text(text: &TextFacts, vocab: usize, table: &mut Sheet) {
    table.add_row(["text", &format!("{:.1} MB", text.bytes as f64 / 1e6)]);
    table.add_row(["bytes per token", &format!("{:.3}", text.bytes_per_token)]);
    table.add_row(["documents", &text.documents.to_string()]);
    if let Some(separator) = &text.separator {
        table.add_row(["", separator]);
    }
    if let Some(repeats) = text.repeated_documents {
        let fate = if text.deduplicated { "left out" } else { "trained on again" };
        table.add_row(["repeated documents", &format!("{repeats} ({fate})")]);
    }
    if let Some(near) = &text.near_duplicates {
        table.add_row(["near-duplicates", &near.to_string()]);
    }
    table.add_row(["held out for validation", &text.validation_documents.to_string()]);
    table.add_row(["near-duplicates moved to training", &text.near_duplicates_moved.to_string()]);
    if text.bad_rows > 0 {
        table.add_row(["rows that cannot be read", &format!("{} (skipped)", text.bad_rows)]);
    }
    if text.repeated_validation_documents > 0 {
        let repeated = text.repeated_validation_documents.to_string();
        table.add_row(["validation documents repeated in training", &repeated]);
    }
    if text.unknown_tokens > 0 {
        table.add_row(["tokens unknown to the tokenizer", &text.unknown_tokens.to_string()]);
    }
    if text.dropped_bytes > 0 {
        table.add_row(["bytes that the tokenizer drops", &text.dropped_bytes.to_string()]);
    }
    if let Some(all) = text.numbered_from {
        table.add_row(["ids", &numbered_anew(vocab, all)]);
    }
}

/// Rows of one that came as token files.
fn of_token_files(files: &BinFacts, vocab: usize, table: &mut Sheet) {
    let BinFacts { dtype, known, files, numbered_from, documents } = files;
    table.add_row(["token files", &format!("{files} of {dtype} ({known})")]);
    if let Some(TokenDocuments { separator, documents, repeated, near_duplicates }) = documents {
        table.add_row(["documents", &format!("{documents} (separated by token {separator})")]);
        table.add_row(["repeated documents", &repeated.to_string()]);
        table.add_row(["near-duplicates", &near_duplicates.to_string()]);
    }
    if let Some(all) = numbered_from {
        table.add_row(["ids", &numbered_anew(vocab, *all)]);
    }
}

/// Rows of what was kept of a whole corpus.
fn of_kept(kept: &KeptFacts, table: &mut Sheet) {
    let KeptFacts { keep, whole, documents, of_documents, of_tokens, scores, of_scores } = kept;
    let which = keep.scores.map(|scores| format!(" of {} score", scores.name())).unwrap_or_default();
    let share = 100.0 * keep.share;
    let of = format!("{documents} of {of_documents} training documents{which}, {share}% of {of_tokens} tokens");
    table.add_row(["kept", &format!("{of}, by {}", keep.by.name())]);
    let range = |[least, mean, greatest]: &[f64; 3]| format!("{least:.3} to {greatest:.3}, mean {mean:.3}");
    let unit = if keep.by == KeepBy::Ngram { " nats per token" } else { "" };
    if let (Some(scores), Some(of_scores)) = (scores, of_scores) {
        table.add_row(["scores of those kept", &format!("{}{unit}", range(scores))]);
        table.add_row(["scores of all", &format!("{}{unit}", range(of_scores))]);
    }
    table.add_row(["fingerprint of the whole", whole]);
}

fn numbered_anew(count: usize, vocab: u64) -> String {
    format!("{count} of {vocab} occur, renumbered; {ORIGINAL_IDS} in the cache has the original ids")
}
