//! The names of the columns of `runs.csv`: whoever writes, reads or looks for one of them has its name from here.

/// The column of the kind of device that a run was trained on.
pub const DEVICE: &str = "device";

/// The kind of device whose losses no training produces.
pub const REHEARSAL: &str = "rehearsal";

/// The column of what a device is called; of a program's run it is the command.
pub const DEVICE_NAME: &str = "device_name";

/// The kind of device of runs that a program of somebody's own trained.
pub const PROGRAM: &str = "program";

/// The kind of device of runs that were trained elsewhere, and imported.
pub const IMPORTED: &str = "imported";

/// The column of the FLOPs that a run was planned for.
pub const FLOP_BUDGET: &str = "flop_budget";

/// Begins the columns of what a sweep varies: `axis.model.width`.
pub const AXIS: &str = "axis.";

/// Begins the columns of the keys of a program's own configuration: `config.width`.
pub const CONFIG: &str = "config.";

/// Begins the columns of the shares of a mixture: `share_rfc`.
pub const SHARE: &str = "share_";

/// Begins the columns of the loss on one part of a mixture: `val_loss_rfc`, in nats per token.
pub const PART_LOSS: &str = "val_loss_";

/// Ends the name of the standard error of a loss.
pub const ERROR: &str = "_se";

/// Begins the columns of what else a program told.
pub const TOLD: &str = "told.";

/// Begins the names of losses by position: `loss.4-7`, in nats per token.
pub const POSITION_LOSS: &str = "loss.";

/// Begins the columns of what was measured beside the loss.
const EVALUATED: &str = "eval.";

/// What the columns of a measure hold: its mean, its standard error, and what a model that knows nothing would reach.
const OF_MEASURE: [&str; 3] = [".value", ".se", ".chance"];

/// Words in the name of a measure of which less is better.
const LESS_IS_BETTER: [&str; 8] = ["loss", "perplexity", "ppl", "nll", "bpb", "bpc", "error", "distance"];

/// The column of a field that a sweep varies.
pub fn axis(field: &str) -> String {
    format!("{AXIS}{field}")
}

/// The field that a sweep varies, of the column of an axis.
pub fn varied(column: &str) -> Option<&str> {
    column.strip_prefix(AXIS)
}

/// The columns of a measure: its mean, its standard error, and what a model that knows nothing would reach.
pub fn evaluated(measure: &str) -> [String; 3] {
    OF_MEASURE.map(|of| format!("{EVALUATED}{measure}{of}"))
}

/// The measure, of the column of its mean.
pub fn measure(column: &str) -> Option<&str> {
    column.strip_prefix(EVALUATED)?.strip_suffix(OF_MEASURE[0])
}

/// Whether less is better of a measure or a column, as of losses and distances; more is of accuracies and all others.
pub fn less_is_better(column: &str) -> bool {
    column.split(|c: char| !c.is_alphanumeric()).any(|word| LESS_IS_BETTER.contains(&&*word.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_better_of_losses_and_distances_however_their_columns_are_called() {
        let less =
            ["loss.4-7", "eval.loss.4-7.value", "val_loss", "val_loss_rfc", "told.loss", "eval/c4_loss", "val_PPL"];
        for column in less.into_iter().chain(["copy.8.edit_distance", "eval.copy.8.edit_distance.value"]) {
            assert!(less_is_better(column), "{column}");
        }
        for column in ["cloze.16.accuracy", "eval.copy.8.log_likelihood.value", "told.score", "lossless_share"] {
            assert!(!less_is_better(column), "{column}");
        }
    }

    #[test]
    fn a_column_says_what_it_was_made_of() {
        assert_eq!(varied(&axis("model.width")), Some("model.width"));
        assert_eq!(varied("width"), None);
        let columns = evaluated("copy.8.exact_match");
        let names = ["value", "se", "chance"].map(|of| format!("eval.copy.8.exact_match.{of}"));
        assert_eq!(columns, names);
        assert_eq!(columns.each_ref().map(|column| measure(column)), [Some("copy.8.exact_match"), None, None]);
    }
}
