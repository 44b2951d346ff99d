//! `[data]`: what each source needs and what does not belong to it.

use crate::columns::{ERROR, PART_LOSS};
use crate::spec::check::{Checked, absent, not_negative, positive, present, require};
use crate::spec::data::{LONGEST_HISTORY, is_of_name};
use crate::spec::{Data, KeepBy, Part, Source};

/// What to write where no separator is one.
pub(crate) const SEPARATOR: &str =
    "write \"blank line\", \"line\", \"file\", \"none\", or the text between two documents";

/// No corpus has more tokens.
pub(crate) const MOST_TOKENS: f64 = 1e15;

/// More parts are a slip of the pen.
const MOST_PARTS: usize = 1000;

/// Checks `[data]`.
pub(in crate::spec) fn check(data: &Data) -> Checked {
    let Data {
        source,
        path,
        column,
        separator,
        deduplicate,
        skip_bad,
        dtype,
        validation_path,
        tokenizer,
        vocab,
        history: _,
        validation_fraction,
        max_epochs: _,
        train_tokens: _,
        keep: _,
        keep_by: _,
        keep_scores: _,
        keep_file: _,
        seed: _,
        weights: _,
        parts,
    } = data;
    ranges(data)?;
    let columns = matches!(source, Source::Jsonl | Source::Parquet);
    absent("data.column", column.is_some() && !columns, "only JSON Lines and Parquet have columns")?;
    let texts = matches!(source, Source::Text | Source::Jsonl | Source::Parquet | Source::Mixture);
    absent("data.separator", separator.is_some() && *source != Source::Text, "only text has separators")?;
    require(separator.as_deref() != Some(""), "data.separator", || ("an empty separator".to_owned(), SEPARATOR))?;
    absent("data.deduplicate", *deduplicate && !texts, "only texts have documents")?;
    let rows = columns || *source == Source::Mixture;
    absent("data.skip_bad", *skip_bad && !rows, "only JSON Lines and Parquet have rows")?;
    absent("data.dtype", dtype.is_some() && *source != Source::Bin, "only token files have numbers")?;
    weigh(data)?;
    kept(data)?;
    match source {
        Source::Synthetic => {
            no_files(data, "the built-in language is generated, without files or a split")?;
            present("data.vocab", vocab.is_some(), "write the size of the language's vocabulary, such as 512")
        }
        Source::Text | Source::Jsonl | Source::Parquet => {
            let such = format!("write the file, such as \"corpora/{}\"", example(*source));
            present("data.path", path.is_some(), &such)?;
            present("data.column", column.is_some() || !columns, "write the column of the text, such as \"text\"")?;
            text(data)
        }
        Source::Mixture => {
            absent("data.path", path.is_some(), "each part of a mixture has its own")?;
            absent("data.validation_path", validation_path.is_some(), "a mixture is split by validation_fraction")?;
            mixture(parts)?;
            text(data)
        }
        Source::Program => no_files(data, "the program of train.command reads its data by itself"),
        Source::Bin => {
            present("data.path", path.is_some(), "write the token file, such as \"corpora/train.bin\"")?;
            absent("data.tokenizer", tokenizer.is_some(), "a token file is tokenized already")?;
            present("data.vocab", vocab.is_some(), "write the vocabulary of the tokens, such as 50257")?;
            one_split(validation_path.is_some(), validation_fraction.is_some())
        }
    }
}

/// Checks which documents are kept.
fn kept(data: &Data) -> Checked {
    let Data { source, keep, keep_by, keep_scores, keep_file, weights, parts, vocab, .. } = data;
    let Some(keep) = keep else {
        let why = "it needs data.keep, the share of the documents that is kept";
        absent("data.keep_by", keep_by.is_some(), why)?;
        absent("data.keep_file", keep_file.is_some(), why)?;
        return absent("data.keep_scores", keep_scores.is_some(), why);
    };
    require(*keep > 0.0 && *keep <= 1.0, "data.keep", || {
        (format!("{keep} is not a share to keep"), "write a number above 0 and up to 1, such as 0.5")
    })?;
    let texts = matches!(source, Source::Text | Source::Jsonl | Source::Parquet | Source::Mixture);
    absent("data.keep", !texts, "only texts have documents, as far as is known")?;
    let weighed = !weights.is_empty() || parts.iter().any(|part| part.weight.is_some());
    absent("data.keep", weighed, "the parts of a mixture with weights are not pruned")?;
    // A character may stand both inside of documents and between them.
    absent("data.keep", vocab.is_some_and(|vocab| vocab < 256), "documents of characters cannot be told apart")?;
    let choices = "write what decides which documents are kept: \"ngram\", \"file\" or \"random\"";
    present("data.keep_by", keep_by.is_some(), choices)?;
    let by_file = *keep_by == Some(KeepBy::File);
    absent("data.keep_file", !by_file && keep_file.is_some(), "only keep_by = \"file\" reads scores")?;
    let example = "write the file of scores, such as \"scores.txt\"; `runner data score` makes one by a model";
    present("data.keep_file", !by_file || keep_file.is_some(), example)?;
    let random = *keep_by == Some(KeepBy::Random);
    absent("data.keep_scores", random && keep_scores.is_some(), "a random draw has no scores")?;
    present(
        "data.keep_scores",
        random || keep_scores.is_some(),
        "write which are kept: \"low\", \"middle\" or \"high\"",
    )
}

/// What has no files has no keys of them.
fn no_files(data: &Data, why: &str) -> Checked {
    absent("data.path", data.path.is_some(), why)?;
    absent("data.validation_path", data.validation_path.is_some(), why)?;
    absent("data.tokenizer", data.tokenizer.is_some(), why)?;
    absent("data.validation_fraction", data.validation_fraction.is_some(), why)
}

/// Checks the numbers of `[data]`.
fn ranges(Data { source, vocab, history, validation_fraction, max_epochs, train_tokens, .. }: &Data) -> Checked {
    if let Some(tokens) = *train_tokens {
        positive("data.train_tokens", tokens, "1e6")?;
        require(tokens <= MOST_TOKENS, "data.train_tokens", || {
            (format!("{tokens:e} tokens are more than any corpus has"), "write a number such as 1e9, or delete it")
        })?;
    }
    if let Some(vocab) = vocab {
        // Ids of token files that do not fit 16 bits are renumbered.
        let (least, most) = match source {
            Source::Bin | Source::Program => (2, u32::MAX),
            Source::Synthetic => (256, 65_536),
            _ => (2, 65_536),
        };
        require((least..=most).contains(vocab), "data.vocab", || {
            let remedy = format!("write a whole number from {least} to {most}, such as 1024");
            (format!("a vocabulary of {vocab} is impossible"), remedy)
        })?;
    }
    absent("data.history", history.is_some() && *source != Source::Synthetic, "only the built-in language has one")?;
    require(history.is_none_or(|tokens| (1..=LONGEST_HISTORY).contains(&tokens)), "data.history", || {
        (format!("{} tokens are impossible", history.unwrap_or_default()), "write 1, 2 or 3")
    })?;
    if let Some(fraction) = validation_fraction {
        require(*fraction > 0.0 && *fraction < 1.0, "data.validation_fraction", || {
            (format!("{fraction} is not a share"), "write a number above 0 and below 1, such as 0.02")
        })?;
    }
    positive("data.max_epochs", *max_epochs, "1.0, which refuses to repeat data")
}

/// A share is held out, or files of their own are.
fn one_split(path: bool, fraction: bool) -> Checked {
    require(path != fraction, "data.validation_fraction", || {
        if path {
            ("validation_path is given too".to_owned(), "delete one of the two")
        } else {
            ("missing".to_owned(), "write a share such as 0.02, or validation_path = a file")
        }
    })
}

/// Name of a file, for errors.
fn example(source: Source) -> &'static str {
    match source {
        Source::Jsonl => "web-*.jsonl",
        Source::Parquet => "train-*.parquet",
        _ => "rfc.txt",
    }
}

/// What all texts need: a split, and a tokenizer or the size of one to train.
fn text(data: &Data) -> Checked {
    let Data { validation_path, validation_fraction, tokenizer, vocab, .. } = data;
    one_split(validation_path.is_some(), validation_fraction.is_some())?;
    require(tokenizer.is_some() != vocab.is_some(), "data.vocab", || match tokenizer {
        None => ("missing".to_owned(), "write the vocabulary to train, such as 1024, or tokenizer = a file"),
        Some(_) => ("tokenizer is given too, which has its own vocabulary".to_owned(), "delete one of the two"),
    })
}

/// Checks the parts of a mixture.
fn mixture(parts: &[Part]) -> Checked {
    require(!parts.is_empty() && parts.len() <= MOST_PARTS, "data.parts", || {
        let problem = format!("{} parts are not a mixture", parts.len());
        (problem, format!("write 1 to {MOST_PARTS} tables [[data.parts]] with source, path and weight"))
    })?;
    let weighted = parts.iter().any(|part| part.weight.is_some());
    for (at, Part { name: _, source, path: _, column, separator, weight }) in parts.iter().enumerate() {
        let key = |name: &str| format!("data.parts.{at}.{name}");
        let columns = matches!(source, Source::Jsonl | Source::Parquet);
        require(columns || *source == Source::Text, &key("source"), || {
            ("only texts can be mixed".to_owned(), "write \"text\", \"jsonl\" or \"parquet\"")
        })?;
        absent(&key("column"), column.is_some() && !columns, "only JSON Lines and Parquet have columns")?;
        absent(&key("separator"), separator.is_some() && *source != Source::Text, "only text has separators")?;
        let some = separator.as_deref() != Some("");
        require(some, &key("separator"), || ("an empty separator".to_owned(), SEPARATOR))?;
        present(&key("column"), column.is_some() || !columns, "write the column of the text, such as \"text\"")?;
        present(&key("weight"), weight.is_some() || !weighted, "write a weight for every part, or for none")?;
        positive(&key("weight"), weight.unwrap_or(1.0), "0.5")?;
    }
    summable("data.parts", parts.iter().filter_map(|part| part.weight))
}

/// Weights are shares of their sum, which has to be a number.
fn summable(key: &str, weights: impl Iterator<Item = f64>) -> Checked {
    require(weights.sum::<f64>().is_finite(), key, || {
        ("the sum of the weights is too large for a number", "write shares such as 0.5")
    })
}

/// Checks the names of parts: those that are written, and all of them where weights go by them.
fn names(parts: &[Part], all: bool) -> Checked {
    const REMEDY: &str = "write letters, digits and underscores, such as \"rfc\"";
    let named = parts.iter().enumerate().filter(|(_, part)| all || part.name.is_some());
    let mut seen: Vec<String> = Vec::new();
    for (at, part) in named {
        let (key, name) = (format!("data.parts.{at}.name"), part.name());
        // val_loss_se is the standard error of the loss.
        let is_error = format!("{PART_LOSS}{name}").ends_with(ERROR);
        let plain = !name.is_empty() && name.chars().all(is_of_name) && !is_error;
        require(plain, &key, || match &part.name {
            Some(name) => (format!("{name:?} cannot be in the name of a column"), REMEDY.to_owned()),
            None => (format!("missing, and {} gives none", part.path.display()), REMEDY.to_owned()),
        })?;
        require(!seen.contains(&name), &key, || {
            let from = if part.name.is_some() { "" } else { ", by its file" };
            (format!("another part is called {name:?} too{from}"), "write a name of its own for each")
        })?;
        seen.push(name);
    }
    Ok(())
}

/// Checks that parts belong to a mixture, its weights, and the names that they go by.
fn weigh(Data { source, weights, parts, .. }: &Data) -> Checked {
    absent("data.parts", !parts.is_empty() && *source != Source::Mixture, "only source = \"mixture\" has parts")?;
    names(parts, !weights.is_empty())?;
    if weights.is_empty() {
        return Ok(());
    }
    absent("data.weights", *source != Source::Mixture, "only source = \"mixture\" has parts to weigh")?;
    let names: Vec<String> = parts.iter().map(Part::name).collect();
    for (name, weight) in weights {
        let key = format!("data.weights.{name}");
        require(names.contains(name), &key, || {
            (format!("no part is called {name:?}"), format!("write one of {}", names.join(", ")))
        })?;
        not_negative(&key, *weight, "0.5")?;
    }
    summable("data.weights", weights.values().copied())?;
    let some = weights.values().any(|weight| *weight > 0.0);
    require(some, "data.weights", || ("all weights are 0".to_owned(), "write a number above 0 for some part"))?;
    let twice = parts.iter().position(|part| part.weight.is_some());
    let key = format!("data.parts.{}.weight", twice.unwrap_or_default());
    absent(&key, twice.is_some(), "data.weights has the weights of all parts")
}
