//! From a path or a pattern to the files that it names.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::DataError;

/// The files that a path names: the one of that name, those in the folder of that name, or those that match it as a pattern.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let path = &place(path)?;
    let mut files = Vec::new();
    let nothing = match path.to_str() {
        _ if path.is_dir() => {
            inside(path, &mut vec![whole(path)?], &mut files)?;
            "there is no file in this folder"
        }
        Some(pattern) if pattern.contains(['*', '?', '[']) && !path.exists() && !path.is_symlink() => {
            matching(pattern, &mut files)?;
            "no file matches this pattern; it is relative to the current directory, ** reaches into folders"
        }
        _ => {
            leads_somewhere(path)?;
            refuse_pipe(path)?;
            return Ok(vec![path.clone()]);
        }
    };
    files.sort();
    if files.is_empty() {
        return Err(DataError::content(path, nothing));
    }
    Ok(files)
}

/// All files in a folder and those in it, but for names that begin with a dot. `above` are the folders on the way, without links.
fn inside(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let failed = || DataError::io("read", folder);
    for entry in folder.read_dir().map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        leads_somewhere(&path)?;
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() {
            let real = whole(&path)?;
            if path.is_symlink() && above.iter().any(|folder| folder.starts_with(&real)) {
                return Err(is_loop(&path, &real));
            }
            above.push(real);
            inside(&path, above, files)?;
            above.pop();
        }
    }
    Ok(())
}

/// The files that match a pattern.
fn matching(pattern: &str, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let found = glob::glob_with(pattern, options).map_err(|error| {
        let what = format!(
            "no pattern of file names: {error}; * and ? stand for characters, ** for folders, [ab] for one of them"
        );
        DataError::content(Path::new(pattern), what)
    })?;
    let mut seen = HashSet::new();
    for entry in found {
        let entry = entry.map_err(|error| {
            let path = error.path().to_owned();
            DataError::io("read", &path)(error.into())
        })?;
        leads_somewhere(&entry)?;
        // Told at the first round, before ** goes through it once more.
        let new: Vec<&Path> = entry.ancestors().take_while(|folder| seen.insert(folder.to_path_buf())).collect();
        // The outermost: ** goes through a loop as often as the system lets it.
        for folder in new.into_iter().rev() {
            if folder.is_symlink() && folder.is_dir() {
                let real = whole(folder)?;
                if whole(folder.parent().unwrap_or(Path::new("")))?.starts_with(&real) {
                    return Err(is_loop(folder, &real));
                }
            }
        }
        if entry.is_file() {
            files.push(entry);
        }
    }
    Ok(())
}

/// A path without links.
fn whole(path: &Path) -> Result<PathBuf, DataError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    path.canonicalize().map_err(DataError::io("read", path))
}

/// Refuses a link that leads to nothing: its file would be missed without a word.
fn leads_somewhere(path: &Path) -> Result<(), DataError> {
    let Ok(target) = path.read_link() else { return Ok(()) };
    let Err(cause) = path.metadata() else { return Ok(()) };
    let target = target.display();
    let what = match cause.kind() {
        io::ErrorKind::NotFound => {
            format!("this link leads to {target}, which is not there; get that file, or remove the link")
        }
        _ => format!("this link leads to {target}, where nothing can be read ({cause}); correct or remove the link"),
    };
    Err(DataError::content(path, what))
}

/// Refuses a pipe or a device, of which nobody knows how long it is, and which gives its text once.
fn refuse_pipe(path: &Path) -> Result<(), DataError> {
    if path.metadata().is_ok_and(|about| !about.is_file()) {
        let what =
            "this is no file but a pipe or a device; save what comes out of it to a file, and give the path of that";
        return Err(DataError::content(path, what));
    }
    Ok(())
}

fn is_loop(link: &Path, folder: &Path) -> DataError {
    let what = format!("this link is a loop: it leads back to {}, in which it lies; remove the link", folder.display());
    DataError::content(link, what)
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

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_refused_before_anybody_waits_for_it() {
        let error = files(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("/dev/null: this is no file") && error.contains("save what comes out"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_or_back_are_told_and_others_are_followed() {
        use std::os::unix::fs::symlink;
        let place = || {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("texts/more")).unwrap();
            std::fs::write(dir.path().join("texts/more/a.txt"), "x").unwrap();
            dir
        };
        let patterns = ["texts", "texts/**/*", "texts/**/*.txt"];
        for (target, link, words) in [
            ("nowhere.txt", "texts/b.txt", "b.txt: this link leads to nowhere.txt, which is not there"),
            ("b.txt", "texts/b.txt", "b.txt: this link leads to b.txt, where nothing can be read"),
            ("../../texts", "texts/more/up", "more/up: this link is a loop: it leads back to "),
            ("../..", "texts/more/top", "more/top: this link is a loop: it leads back to "),
            (".", "texts/here", "texts/here: this link is a loop: it leads back to "),
        ] {
            let dir = place();
            symlink(target, dir.path().join(link)).unwrap();
            for pattern in &patterns {
                let error = files(&dir.path().join(pattern)).unwrap_err().to_string();
                assert!(error.contains(words), "{pattern}: {error}");
            }
        }
        let dir = place();
        std::fs::create_dir(dir.path().join("other")).unwrap();
        std::fs::write(dir.path().join("other/b.txt"), "y").unwrap();
        symlink("../other", dir.path().join("texts/linked")).unwrap();
        symlink("../other/b.txt", dir.path().join("texts/.hidden")).unwrap();
        let found = files(&dir.path().join("texts")).unwrap();
        assert_eq!(found, ["linked/b.txt", "more/a.txt"].map(|name| dir.path().join("texts").join(name)));
        let alone = dir.path().join("alone.txt");
        symlink("nowhere", &alone).unwrap();
        assert!(files(&alone).unwrap_err().to_string().contains("alone.txt: this link leads to nowhere"));
    }
}
