//! A part of a corpus of text: its files, and what separates the documents in each of them.

use std::path::Path;

use rayon::prelude::*;

use super::DataError;
use super::bad::Bad;
use super::documents::{Look, Separator};
use super::files::{self, Documents, InputFile};
use super::split::Document;
use crate::spec::{Part, SEPARATOR_REMEDY, Source};

/// A part, its files, and what separates the documents in each of them.
pub struct Texts {
    /// As the spec has it.
    pub part: Part,
    /// In the order of their names.
    pub files: Vec<InputFile>,
    separators: Vec<Separator>,
    /// Whether rows that cannot be read are skipped.
    pub skip_bad: bool,
}

impl Texts {
    /// Opens the files; `like` are the texts that these belong to, whose separator they have where they show none.
    pub fn open(part: Part, skip_bad: bool, like: Option<&Self>) -> Result<Self, DataError> {
        let files = files::open(&part)?;
        let separators = match &part.separator {
            Some(name) => vec![Separator::named(name); files.len()],
            None if part.source == Source::Text => recognised(&files, like.map(|texts| &texts.separators[0])),
            None => vec![Separator::BlankLine; files.len()],
        };
        Ok(Self { part, files, separators, skip_bad })
    }

    /// What separates the documents of all files, where that is the same.
    pub fn separator(&self) -> Option<&Separator> {
        let first = &self.separators[0];
        self.separators.iter().all(|separator| separator == first).then_some(first)
    }

    /// What separates the documents, for people; by file where files differ.
    pub fn told(&self) -> String {
        if let Some(separator) = self.separator() {
            return separator.to_string();
        }
        let mut kinds: Vec<&Separator> = Vec::new();
        for separator in &self.separators {
            if !kinds.contains(&separator) {
                kinds.push(separator);
            }
        }
        let of = |kind: &Separator| {
            let mut files = self.files.iter().zip(&self.separators).filter(|(_, separator)| *separator == kind);
            let first = files.next().map(|(file, _)| file.path.file_name().unwrap_or_default().to_string_lossy());
            let count = 1 + files.count();
            format!("{kind} in {count} of {} files (first {})", self.files.len(), first.unwrap_or_default())
        };
        kinds.into_iter().map(of).collect::<Vec<_>>().join(", ")
    }

    /// The same for the fingerprint.
    pub fn separator_key(&self) -> String {
        match self.separator() {
            Some(separator) => separator.key(),
            None => self.separators.iter().map(Separator::key).collect::<Vec<_>>().join("\n"),
        }
    }

    /// A separator that was written down and stands nowhere is a slip.
    pub fn check_separator(&self, documents: &[Document<'_>]) -> Result<(), DataError> {
        let (Some(Separator::Text(mark)), Some(_), true) =
            (self.separator(), &self.part.separator, documents.len() <= self.files.len())
        else {
            return Ok(());
        };
        let of_windows = mark.replace('\n', "\r\n");
        let what = if documents.iter().any(|document| document.text.contains(&of_windows)) {
            format!(
                "its lines end with \\r\\n, so that data.separator {mark:?} stands between no two documents of it; write \
                 {of_windows:?}"
            )
        } else {
            format!(
                "data.separator {mark:?} stands between no two documents of it; {SEPARATOR_REMEDY}, or delete the key"
            )
        };
        Err(DataError::content(&self.part.path, what))
    }

    /// The documents of every file.
    pub fn read(&self, folder: &Path) -> Result<Vec<Documents<'_>>, DataError> {
        files::refuse_rows(&self.files, &self.part)?;
        let bad = || Bad::new(self.skip_bad);
        let files = self.files.par_iter().zip(&self.separators);
        files.map(|(file, separator)| file.documents(&self.part, separator, bad(), folder)).collect()
    }
}

/// What separates the documents of each file, as it shows: the mark in all files that have one, where any is plainly marked.
/// Others are as the texts that these are `like`, and a file without text is as the first that has some.
fn recognised(files: &[InputFile], like: Option<&Separator>) -> Vec<Separator> {
    let only_file = files.len() == 1;
    let looks: Vec<Look> = files.par_iter().map(|file| file.look(only_file)).collect();
    let any_marked = looks.iter().any(Look::is_marked);
    let of = |look: &Look| match like {
        _ if look.is_marked() || any_marked && look.has_a_mark() => Some(look.separator(true, only_file)),
        Some(like) => Some(like.clone()),
        None => look.has_text().then(|| look.separator(false, only_file)),
    };
    let shown: Vec<Option<Separator>> = looks.iter().map(of).collect();
    let usual = shown.iter().flatten().next().cloned().unwrap_or(Separator::BlankLine);
    shown.into_iter().map(|separator| separator.unwrap_or_else(|| usual.clone())).collect()
}
