//! From a path or a pattern to the files that it names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::DataError;

/// The files that a path names: the one of that name, those in the folder of that name, or those that match it as a pattern.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let path = &place(path)?;
    let inside;
    let pattern = match path.to_str() {
        // All that is in a folder.
        Some(text) if path.is_dir() => {
            inside = format!("{}/**/*", glob::Pattern::escape(text.trim_end_matches('/')));
            inside.as_str()
        }
        Some(text) if text.contains(['*', '?', '[']) && !path.exists() => text,
        _ => return Ok(vec![path.clone()]),
    };
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let found = glob::glob_with(pattern, options).map_err(|error| {
        let what = format!(
            "no pattern of file names: {error}; * and ? stand for characters, ** for folders, [ab] for one of them"
        );
        DataError::content(path, what)
    })?;
    let mut files = Vec::new();
    for entry in found {
        let entry = entry.map_err(|error| {
            let path = error.path().to_owned();
            DataError::io("read", &path)(error.into())
        })?;
        if entry.is_file() {
            files.push(entry);
        }
    }
    files.sort();
    if files.is_empty() {
        let what = if path.is_dir() {
            "there is no file in this folder"
        } else {
            "no file matches this pattern; it is relative to the current directory, ** reaches into folders"
        };
        return Err(DataError::content(path, what));
    }
    Ok(files)
}

/// Addresses of things that are somewhere else, and how to get them.
const ADDRESSES: [(&str, &str); 6] = [
    ("s3://", "`aws s3 cp`"),
    ("gs://", "`gcloud storage cp`"),
    ("az://", "`azcopy copy`"),
    ("hf://", "`hf download`"),
    ("https://", "`curl -LO`"),
    ("http://", "`curl -LO`"),
];

/// A path as the system takes it: `~` is the home of who runs this, `file://` is dropped, and an address is refused.
pub fn place(path: &Path) -> Result<PathBuf, DataError> {
    let Some(text) = path.to_str() else { return Ok(path.to_owned()) };
    let local = text.strip_prefix("file://").unwrap_or(text);
    if let Some((scheme, rest)) = local.split_once("://")
        && !rest.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && !path.exists()
    {
        let known = ADDRESSES.iter().find(|(address, _)| local.starts_with(address));
        let how = known.map_or(String::new(), |(_, command)| format!(" with {command}"));
        let what =
            format!("this is an address, and nothing is downloaded here; get it{how}, and give the path of the file");
        return Err(DataError::content(path, what));
    }
    match (local.strip_prefix('~'), std::env::home_dir()) {
        (Some(""), Some(home)) => Ok(home),
        (Some(rest), Some(home)) if rest.starts_with('/') && !path.exists() => {
            Ok(home.join(rest.trim_start_matches('/')))
        }
        _ => Ok(PathBuf::from(local)),
    }
}

/// What tells a file from others, whatever its names: a link is no other file.
#[cfg(unix)]
fn identity(path: &Path) -> Result<(u64, u64), DataError> {
    use std::os::unix::fs::MetadataExt as _;
    let about = path.metadata().map_err(DataError::io("read", path))?;
    Ok((about.dev(), about.ino()))
}

/// What tells a file from others, as far as names can.
#[cfg(not(unix))]
fn identity(path: &Path) -> Result<PathBuf, DataError> {
    path.canonicalize().map_err(DataError::io("read", path))
}

/// One file that is named twice would be trained on twice, or held out and trained on.
pub fn no_file_twice<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), DataError> {
    let mut seen = HashMap::new();
    for path in paths {
        if let Some(before) = seen.insert(identity(path)?, path) {
            let what = if before == path {
                "is named twice; name each file once".to_owned()
            } else {
                format!("is the same file as {}; name each file once", before.display())
            };
            return Err(DataError::content(path, what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_files_in_the_order_of_their_names_and_no_folders() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b-2.txt", "b-1.txt", "c.txt", ".b-0.txt", "odd[1].txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(dir.path().join("b-3.txt")).unwrap();
        let names = |pattern: &str| {
            files(&dir.path().join(pattern)).map(|found| {
                found.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(names("b-*.txt").unwrap(), ["b-1.txt", "b-2.txt"]);
        assert_eq!(names("?.txt").unwrap(), ["c.txt"]);
        assert_eq!(names("odd[1].txt").unwrap(), ["odd[1].txt"], "a file of that very name comes first");
        assert_eq!(names("missing.txt").unwrap(), ["missing.txt"], "no pattern, for others to miss");
        assert!(names("z*.txt").unwrap_err().to_string().contains("no file matches"));
        assert!(names("[.txt").unwrap_err().to_string().contains("pattern"));
    }
}
