//! Why a report could not be written.

use std::path::PathBuf;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("cannot write {path}: {cause}; check that the folder exists and that you may write to it", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said; not named `source`, since it is already in the text.
        cause: std::io::Error,
    },
    /// A table could not be put into words.
    #[error("cannot write the table of figure {figure}: {cause}")]
    Table {
        /// Name of the figure.
        figure: String,
        /// What went wrong, in the text as well.
        cause: csv::Error,
    },
    /// The data of the figures could not be embedded.
    #[error("cannot embed the figures' data in report.html: {0}")]
    Data(#[from] serde_json::Error),
    /// The page could not be rendered.
    #[error("cannot render report.html: {0}")]
    Page(#[from] askama::Error),
}
