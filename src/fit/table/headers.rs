//! How other people call the columns that a fit needs: one table of names, and units that stand in a header.

use csv::StringRecord;

use super::field::Field;
use super::number::unit;
use crate::columns::AXIS;

/// A column that a field may be, by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Where it stands.
    pub(super) index: usize,
    /// The factor of its unit, 1 where the header tells none.
    pub(super) unit: f64,
}

/// Names of a field beside those of this program, in lower case without spaces and punctuation: those that can hardly
/// mean anything else, and those that are looked at where none of the first is there.
const NAMES: [(Field, [&[&str]; 2]); 20] = [
    (
        Field::Params,
        [
            &[
                "params",
                "param",
                "parameters",
                "nparams",
                "nparam",
                "numparams",
                "nparameters",
                "numparameters",
                "numberofparameters",
                "numberofparams",
                "paramcount",
                "parametercount",
                "totalparams",
                "totalparameters",
                "paramstotal",
                "nparamstotal",
                "activeparams",
                "activeparameters",
                "paramsactive",
                "nparamsactive",
                "modelsize",
                "modelparams",
                "modelparameters",
                "nopt",
            ],
            &["n", "nactive", "ntotal"],
        ],
    ),
    (
        Field::ParamsNonEmbedding,
        [
            &[
                "paramsnonembedding",
                "nparamsnonembedding",
                "numparamsnonembedding",
                "paramsnonemb",
                "nparamsnonemb",
                "nparamsnonembcfg",
                "nonembeddingparams",
                "nonembeddingparameters",
                "numnonembeddingparams",
                "nnonembeddingparams",
                "nonembedparams",
                "nonembparams",
                "paramsnoembed",
                "paramsnoembeds",
                "paramswithoutembeddings",
                "nnonembedding",
                "nnonemb",
            ],
            &[],
        ],
    ),
    (Field::ParamsBlocksAndUnembedding, [&["paramsblocksandunembedding"], &[]]),
    (
        Field::Tokens,
        [
            &[
                "tokens",
                "ntokens",
                "numtokens",
                "traintokens",
                "trainingtokens",
                "numtrainingtokens",
                "numtraintokens",
                "ntraintokens",
                "tokensseen",
                "tokenstrained",
                "trainedtokens",
                "dtokens",
                "totaltokens",
                "tokenstotal",
                "throughputtotaltokens",
                "tokensprocessed",
                "tokensconsumed",
                "consumedtokens",
                "consumedtraintokens",
                "numberoftokens",
                "tokensopt",
                "dopt",
            ],
            &["d", "datasetsize", "numinputtokensseen"],
        ],
    ),
    (
        Field::Flops,
        [
            &[
                "flops",
                "flop",
                "compute",
                "trainingflops",
                "trainingflop",
                "trainflops",
                "trainflop",
                "totalflops",
                "flopstotal",
                "nflops",
                "numflops",
                "trainingcompute",
                "traincompute",
                "computeflops",
            ],
            &["c", "totalflos"],
        ],
    ),
    (
        Field::FlopBudget,
        [
            &[
                "flopbudget",
                "flopsbudget",
                "budget",
                "budgetflops",
                "computebudget",
                "isoflop",
                "isoflopbudget",
                "targetflops",
            ],
            &[],
        ],
    ),
    (
        Field::Loss,
        [
            &[
                "loss",
                "valloss",
                "validloss",
                "validationloss",
                "evalloss",
                "testloss",
                "heldoutloss",
                "lossval",
                "lossvalidation",
                "losseval",
                "losstest",
                "finalloss",
                "finalvalloss",
                "bestloss",
                "lossopt",
                "valce",
                "c4valce",
                "valceloss",
                "crossentropy",
                "valcrossentropy",
                "testcrossentropy",
                "validationcrossentropy",
                "validationepochloss",
                "valepochloss",
            ],
            &["l", "trainloss", "losstrain", "trainingloss"],
        ],
    ),
    (Field::LossSe, [&["vallossse", "lossse", "lossstderr", "vallossstderr", "losssem", "vallosssem"], &[]]),
    (Field::Seed, [&["seed", "randomseed", "rngseed"], &[]]),
    (Field::Status, [&["status", "state", "runstate", "runstatus"], &[]]),
    (Field::UniqueTokens, [&["uniquetokens", "nuniquetokens", "numuniquetokens", "tokensunique"], &[]]),
    (Field::Epochs, [&["epochs", "nepochs", "numepochs"], &["epoch"]]),
    (
        Field::Batch,
        [
            &["batch", "batchtokens", "batchsize", "globalbatchsize", "trainbatchsize", "batchsizetokens", "bestbsseq"],
            &["bs"],
        ],
    ),
    (
        Field::LearningRate,
        [
            &[
                "learningrate",
                "lr",
                "peaklr",
                "maxlr",
                "bestlr",
                "optlr",
                "lropt",
                "peaklearningrate",
                "maxlearningrate",
            ],
            &[],
        ],
    ),
    (
        Field::Steps,
        [
            &[
                "steps",
                "step",
                "nsteps",
                "numsteps",
                "trainsteps",
                "trainingsteps",
                "iterations",
                "iters",
                "numiterations",
            ],
            &["s", "iteration"],
        ],
    ),
    (Field::Keep, [&["keep", "keepshare", "keepfraction", "sharekept", "fractionkept"], &[]]),
    (Field::SmallBatch, [&["smallbatch"], &[]]),
    (Field::SmallNorm, [&["smallnorm2"], &[]]),
    (Field::BigBatch, [&["bigbatch"], &[]]),
    (Field::BigNorm, [&["bignorm2"], &[]]),
];

/// How a loss of training is called beside one of validation, the one of single steps first.
const TRAINING: [&str; 8] = [
    "trainloss",
    "losstrain",
    "trainingloss",
    "losstraining",
    "trainlossstep",
    "trainlossepoch",
    "trainepochloss",
    "trainingepochloss",
];

/// How the steps are called that a run has come to.
pub(super) const STEPS: [&str; 7] =
    ["step", "globalstep", "trainerglobalstep", "iter", "iteration", "update", "trainstep"];

fn names(field: Field) -> [&'static [&'static str]; 2] {
    NAMES.into_iter().find(|(other, _)| *other == field).map(|(_, names)| names).unwrap_or_default()
}

/// The columns that may be `field` by what people call it; several of them are for the user to decide.
pub(super) fn recognise(headers: &StringRecord, field: Field) -> Vec<Candidate> {
    let tiers = names(field).map(|names| {
        let of = |(index, header): (usize, &str)| {
            let unit = means(header, names).filter(|_| field != Field::Loss || !is_another_measure(header))?;
            Some(Candidate { index, unit })
        };
        headers.iter().enumerate().filter_map(of).collect::<Vec<_>>()
    });
    tiers.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// Whether people call a field so.
pub fn calls(field: Field, header: &str) -> bool {
    names(field).iter().any(|names| means(header, names).is_some())
        && !(field == Field::Loss && is_another_measure(header))
}

/// Where a loss of training stands among what people call so, the one of single steps first; nothing for what is called otherwise.
pub fn training_loss(header: &str) -> Option<usize> {
    let called = called(header);
    TRAINING.iter().position(|name| *name == called)
}

/// Whether a loss is called so, and not by what it is measured on.
pub fn is_plain_loss(header: &str) -> bool {
    called(header) == "loss"
}

/// Whether a loss is called so that is one of training, where another one of validation is told.
pub fn is_of_training(header: &str) -> bool {
    training_loss(header).is_some() || is_plain_loss(header)
}

/// Whether a loss is called so that is not, or need not be, that of training.
pub fn is_of_validation(header: &str) -> bool {
    calls(Field::Loss, header) && !is_of_training(header)
}

/// Whether people call so the steps that a run has come to.
pub fn is_step(header: &str) -> bool {
    STEPS.contains(&plain(header).as_str())
}

/// The part of a header that is a name: all of `train.loss`, and the end of `summary.val_loss`.
fn called(header: &str) -> String {
    let is_name = |name: &String| {
        let name = name.as_str();
        TRAINING.contains(&name) || NAMES.iter().any(|(_, tiers)| tiers.iter().any(|names| names.contains(&name)))
    };
    let starts = std::iter::once(0).chain(header.match_indices('.').map(|(at, _)| at + 1));
    starts.map(|at| plain(&header[at..])).find(is_name).unwrap_or_else(|| plain(header))
}

/// The factor of the unit of a header that is one of some names, 1 where it tells none.
fn means(header: &str, names: &[&str]) -> Option<f64> {
    // An axis of a sweep of ours says what was asked for; what it was stands in a column of its own.
    if header.trim().starts_with(AXIS) {
        return None;
    }
    let is = |text: &str| names.contains(&called(text).as_str());
    if is(header) {
        return Some(1.0);
    }
    let (base, factor) = with_unit(header)?;
    is(base).then_some(factor)
}

/// Whether one of some words is in a name.
fn has_one_of(header: &str, words: &[&str]) -> bool {
    let name = plain(header);
    words.iter().any(|word| name.contains(word))
}

/// Whether a column is by its name a perplexity, which no unit makes a loss.
pub(super) fn is_perplexity(header: &str) -> bool {
    has_one_of(header, &["perplexity", "ppl"])
}

/// Whether a column is by its name a measure of a model's text that is no loss per token.
pub(super) fn is_another_measure(header: &str) -> bool {
    is_perplexity(header) || has_one_of(header, &["byte", "char", "word", "bpb", "bpc"])
}

/// Whether a column is by its name what a model's text is measured by instead of a loss per token.
pub(super) fn is_another_loss(header: &str) -> bool {
    is_perplexity(header)
        || has_one_of(header, &["bpb", "bpc"])
        || has_one_of(header, &["bitsper", "natsper", "lossper"]) && is_another_measure(header)
}

/// Lower case, without spaces and punctuation.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A header that tells its unit: `Params (M)`, `tokens [B]`, `tokens_B`, `size in millions`.
pub(super) fn with_unit(header: &str) -> Option<(&str, f64)> {
    let header = header.trim();
    if let Some((base, inner)) = in_brackets(header) {
        return Some((base, unit(inner)?));
    }
    for between in [" in ", ", ", "_"] {
        let told = header.rsplit_once(between).and_then(|(base, word)| Some((base.trim_end(), power(word)?)));
        // No loss is told in billions: `val_loss_b` is that of a part that is called b.
        if let Some(told) = told.filter(|(base, _)| !plain(base).contains("loss")) {
            return Some(told);
        }
    }
    None
}

/// What stands in brackets at the end of a header, and what stands before.
pub(super) fn in_brackets(header: &str) -> Option<(&str, &str)> {
    let split = |[open, close]: [char; 2]| header.trim().strip_suffix(close).and_then(|rest| rest.rsplit_once(open));
    let (base, inner) = split(['(', ')']).or_else(|| split(['[', ']']))?;
    Some((base.trim_end(), inner))
}

/// A unit that needs no brackets: a bare number may be anything there.
fn power(word: &str) -> Option<f64> {
    unit(word).filter(|factor| *factor >= 1e3 && !word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[&str], field: Field) -> Vec<(usize, f64)> {
        let candidates = recognise(&StringRecord::from(headers.to_vec()), field);
        candidates.into_iter().map(|candidate| (candidate.index, candidate.unit)).collect()
    }

    #[test]
    fn columns_are_known_by_the_names_that_people_use() {
        let cases = [
            ("N", Field::Params),
            ("n_params", Field::Params),
            ("Model Size", Field::Params),
            ("# Parameters", Field::Params),
            ("config.num_params", Field::Params),
            ("n_params_nonemb_cfg", Field::ParamsNonEmbedding),
            ("Params (non-embedding)", Field::ParamsNonEmbedding),
            ("D", Field::Tokens),
            ("tokens_seen", Field::Tokens),
            ("throughput/total_tokens", Field::Tokens),
            ("loss/val", Field::Loss),
            ("val/loss", Field::Loss),
            ("eval_loss", Field::Loss),
            ("summary.val/loss", Field::Loss),
            ("L", Field::Loss),
            ("Training FLOP", Field::Flops),
            ("compute", Field::Flops),
            ("State", Field::Status),
            ("peak_lr", Field::LearningRate),
            ("_step", Field::Steps),
        ];
        for (header, field) in cases {
            assert_eq!(found(&["x", header], field), [(1, 1.0)], "{header}");
            let others: Vec<Field> = Field::ALL
                .into_iter()
                .filter(|other| *other != field && !found(&[header], *other).is_empty())
                .collect();
            assert!(others.is_empty(), "{header} is {others:?} too");
        }
        for header in
            ["axis.optimizer.learning_rate", "flops_per_token_exact", "tokens_per_second", "params_embedding", "size"]
        {
            for field in Field::ALL {
                assert_eq!(found(&[header], field), [], "{header} {field:?}");
            }
        }
    }

    #[test]
    fn what_lies_inside_is_called_as_with_a_slash() {
        for headers in [["train.loss", "val.loss"], ["train/loss", "val/loss"], ["m.train.loss", "m.val.loss"]] {
            assert_eq!(found(&headers, Field::Loss), [(1, 1.0)], "{headers:?}");
            assert_eq!(headers.map(|header| training_loss(header).is_some()), [true, false], "{headers:?}");
        }
        for header in ["loss/train", "Loss/train", "train_loss_step", "training loss", "train/epoch_loss"] {
            assert!(training_loss(header).is_some() && !is_plain_loss(header), "{header}");
        }
        assert!(is_plain_loss("summary.loss") && training_loss("loss").is_none());
        assert!(["iteration", "Step", "_step", "trainer/global_step"].into_iter().all(is_step) && !is_step("steps"));
    }

    #[test]
    fn other_measures_are_no_losses() {
        for header in ["val_bpb", "val/bits_per_byte", "perplexity.loss", "bpb.val_loss"] {
            assert_eq!(found(&[header], Field::Loss), [], "{header}");
            assert!(!calls(Field::Loss, header), "{header}");
        }
    }

    #[test]
    fn no_name_means_two_fields() {
        let all: Vec<(Field, &str)> =
            Field::ALL.iter().flat_map(|field| names(*field).concat().into_iter().map(|name| (*field, name))).collect();
        for (i, (field, name)) in all.iter().enumerate() {
            for (other, same) in &all[..i] {
                assert!(name != same, "{name} is {field:?} and {other:?}");
            }
        }
        // The names of this program are among them, however they are written.
        for field in Field::ALL {
            for name in field.names() {
                assert!(names(field).concat().contains(&plain(name).as_str()), "{name}");
            }
        }
    }

    #[test]
    fn units_in_headers_count() {
        for (header, field, factor) in [
            ("Params (M)", Field::Params, 1e6),
            ("tokens [B]", Field::Tokens, 1e9),
            ("tokens_B", Field::Tokens, 1e9),
            ("Model size, millions", Field::Params, 1e6),
            ("Parameters in millions", Field::Params, 1e6),
            ("FLOPs (1e18)", Field::Flops, 1e18),
            ("Loss (nats)", Field::Loss, 1.0),
        ] {
            assert_eq!(found(&[header], field), [(0, factor)], "{header}");
        }
        assert_eq!(found(&["loss (EMA)"], Field::Loss), []);
    }

    #[test]
    fn names_that_say_less_are_taken_where_no_other_is_there() {
        assert_eq!(found(&["n", "n_params"], Field::Params), [(1, 1.0)]);
        assert_eq!(found(&["train_loss", "val/loss"], Field::Loss), [(1, 1.0)]);
        assert_eq!(found(&["train_loss"], Field::Loss), [(0, 1.0)]);
        assert_eq!(found(&["total_flos", "flops"], Field::Flops), [(1, 1.0)]);
        assert_eq!(found(&["tokens", "num_input_tokens_seen"], Field::Tokens), [(0, 1.0)]);
        assert_eq!(found(&["n_params", "Model Size"], Field::Params).len(), 2);
    }
}
