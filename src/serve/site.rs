//! What is served.

use std::collections::BTreeMap;

use crate::report::Report;

/// What is served: contents by path.
#[derive(Clone, Debug, Default)]
pub struct Site {
    pub(super) files: BTreeMap<String, File>,
    pub(super) progress: String,
}

#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) kind: &'static str,
    pub(super) tag: String,
    pub(super) text: String,
}

impl From<Report> for Site {
    fn from(report: Report) -> Self {
        let mut site = Self::default();
        site.insert("/".to_owned(), "text/html; charset=utf-8", report.page);
        for (path, text) in report.files {
            let svg = path.rsplit('.').next().is_some_and(|end| end == "svg");
            site.insert(format!("/{path}"), if svg { "image/svg+xml" } else { "text/csv; charset=utf-8" }, text);
        }
        site
    }
}

impl Site {
    fn insert(&mut self, path: String, kind: &'static str, text: String) {
        let tag = format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..16]);
        self.files.insert(path, File { kind, tag, text });
    }
}
