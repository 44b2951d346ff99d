//! The specs that `runner init` can begin with: those of `sweeps/` and one of `examples/`, one a line.

/// A spec of the repository.
#[derive(Debug)]
pub struct Template {
    /// The word for it on the command line.
    pub kind: &'static str,
    /// What it asks, in a line.
    pub about: &'static str,
    /// The command that trains it.
    pub command: &'static str,
    /// The spec, comments and all.
    pub text: &'static str,
    /// A program that trains its runs, which is written beside it: the words of the spec for it, and its text.
    pub trainer: Option<(&'static str, &'static str)>,
}

macro_rules! template {
    ($kind:literal, $command:literal, $file:literal, $about:literal) => {
        template!($kind, $command, $file, $about, None)
    };
    ($kind:literal, $command:literal, $file:literal, $about:literal, $trainer:expr) => {
        Template {
            kind: $kind,
            about: $about,
            command: $command,
            text: include_str!(concat!("../../", $file)),
            trainer: $trainer,
        }
    };
}

/// A trainer that makes losses up and does all that is asked of one.
const STAND_IN: (&str, &str) = ("train.py", include_str!("../../examples/program/train.py"));

/// All of them, in the order in which they are listed. Those that begin with `laws-` each ask one claim about scaling.
#[rustfmt::skip]
pub const TEMPLATES: &[Template] = &[
    template!("quickstart", "sweep", "sweeps/quickstart.toml", "IsoFLOP curves of the built-in language in minutes on a laptop"),
    template!("isoflop", "sweep", "sweeps/isoflop.toml", "IsoFLOP curves of a text"),
    template!("isoflop-tuned", "sweep", "sweeps/isoflop-tuned.toml", "IsoFLOP curves of a text by rules fitted on tuned points"),
    template!("isoflop-mup", "sweep", "sweeps/isoflop-mup.toml", "IsoFLOP curves: how much compute muP saves compared with tuning each size"),
    template!("mup-transfer", "sweep", "sweeps/mup-transfer.toml", "Whether the best learning rate of a narrow model holds on a wide one"),
    template!("tune", "sweep", "sweeps/tune.toml", "The best learning rate and batch size for each size"),
    template!("lr-grid", "sweep", "sweeps/lr-grid.toml", "The best learning rate for each width"),
    template!("lengths", "sweep", "sweeps/lengths.toml", "How the loss falls with tokens: many lengths of few sizes, which share their stable phases"),
    template!("coord-check", "coord-check", "sweeps/coord-check.toml", "Whether activations keep their size with width, for `runner coord-check`"),
    template!("coord-check-depth", "coord-check", "sweeps/coord-check-depth.toml", "Whether activations keep their size with depth, for `runner coord-check`"),
    template!("laws-size", "sweep", "sweeps/laws/size.toml", "How the loss falls with size where data do not limit"),
    template!("laws-tokens", "sweep", "sweeps/laws/tokens.toml", "How the loss falls with data where size does not limit"),
    template!("laws-saturation", "sweep", "sweeps/laws/saturation.toml", "When one model learns no more from more tokens"),
    template!("laws-repetition", "sweep", "sweeps/laws/repetition.toml", "How much a token is worth when it is seen again"),
    template!("laws-depth", "sweep", "sweeps/laws/depth.toml", "Deep or wide at one number of parameters"),
    template!("laws-lstm", "sweep", "sweeps/laws/lstm.toml", "LSTM against attention"),
    template!("laws-mlp", "sweep", "sweeps/laws/mlp.toml", "GELU, squared ReLU and SwiGLU"),
    template!("laws-precision", "sweep", "sweeps/laws/precision.toml", "What products in bf16 cost beside f32"),
    template!("laws-experts", "sweep", "sweeps/laws/experts.toml", "Experts against one MLP at equal FLOPs"),
    template!("laws-optimizer", "sweep", "sweeps/laws/optimizer.toml", "AdamW, Lion, Muon and SGD at several batch sizes"),
    template!("laws-batch", "sweep", "sweeps/laws/batch.toml", "The critical batch size: steps against tokens"),
    template!("laws-duration", "sweep", "sweeps/laws/duration.toml", "How the best learning rate moves with the length of a run in muP"),
    template!("laws-decay", "sweep", "sweeps/laws/decay.toml", "How the best weight decay moves with the length of a run"),
    template!("laws-transfer", "sweep", "sweeps/laws/transfer.toml", "Whether muP or weight decay keeps the best learning rate as width grows"),
    template!("laws-depth-transfer", "sweep", "sweeps/laws/depth-transfer.toml", "Whether the best learning rate stays as depth grows, in muP and in CompleteP"),
    template!("laws-batch-transfer", "sweep", "sweeps/laws/batch-transfer.toml", "How the best learning rate moves with the batch size in muP"),
    template!("laws-schedule", "sweep", "sweeps/laws/schedule.toml", "Cosine against a constant rate with a cooldown"),
    template!("laws-overtraining", "sweep", "sweeps/laws/overtraining.toml", "Models that are trained longer than is optimal"),
    template!("laws-language", "sweep", "sweeps/laws/language.toml", "The dimension of the built-in language at two vocabularies"),
    template!("laws-emergence", "sweep", "sweeps/laws/emergence.toml", "Whether a skill comes at once: addition, length by length"),
    template!("laws-cloze", "sweep", "sweeps/laws/cloze.toml", "Whether a task orders models as their loss does"),
    template!("laws-corpora", "sweep", "sweeps/laws/corpora.toml", "Whether a task orders mixtures of three texts as their loss does"),
    template!("laws-mixture", "sweep", "sweeps/laws/mixture.toml", "Which mixture of three texts is best, at three sizes"),
    template!("laws-pruning", "sweep", "sweeps/laws/pruning.toml", "Whether documents kept by the losses of an n-gram or a small model beat as many at random"),
    template!("program", "sweep", "examples/program/program.toml", "IsoFLOP curves by a trainer of your own, with a stand-in for it", Some(STAND_IN)),
    template!("run", "train", "configs/small.toml", "One run, for `runner train`"),
];

impl Template {
    /// The one of a kind.
    pub fn of(kind: &str) -> Option<&'static Self> {
        TEMPLATES.iter().find(|template| template.kind == kind)
    }
}
