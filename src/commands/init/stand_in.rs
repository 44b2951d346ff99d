//! The trainer that is written beside a spec whose runs a program trains: a stand-in for that of whoever asks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::commands::shared::out_file;
use crate::shell;
use crate::spec::{self, Train};

/// What the spec says of a stand-in beside it.
const WRITTEN: &str = "# It works as it is written: train.py beside it is a stand-in that trains nothing and makes its losses up. What is marked by > is\n\
                       # yours to change.\n";

/// A stand-in, and where it goes.
pub struct StandIn {
    path: PathBuf,
    text: &'static str,
}

impl StandIn {
    /// Beside the file of a spec.
    pub fn beside(spec: &Path, (name, text): (&str, &'static str)) -> anyhow::Result<Self> {
        let path = spec.parent().unwrap_or(Path::new("")).join(name);
        ensure!(path.to_str().is_some_and(|path| !path.contains('{')), "--out: the path must be UTF-8, without {{");
        Ok(Self { path, text })
    }

    fn word(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// A spec that names it where it is: programs start where `runner sweep` is started.
    pub fn named_in(&self, adapted: &str) -> anyhow::Result<String> {
        if self.path.parent() == Some(Path::new("")) {
            return Ok(adapted.to_owned());
        }
        let path = toml_edit::Value::from(self.word());
        let set = [format!("train.command=[\"python3\", {path}, \"{{config}}\"]"), format!("train.inputs=[{path}]")];
        Ok(spec::edit(adapted, &set)?)
    }

    /// Whether the program of a spec is or reads it: another trainer may be set.
    pub fn is_named_by(&self, train: &Train) -> bool {
        train.inputs.contains(&self.path) || train.command.contains(&self.word())
    }

    /// Refuses to take the place of another file, unless that was named as the trainer.
    pub fn check(&self, set: &[String]) -> anyhow::Result<()> {
        let named = set.iter().any(|set| set.split('=').next().is_some_and(|key| key.trim() == "train.command"));
        let command = format!("train.command=[\"python3\", \"{}\", \"{{config}}\"]", self.path.display());
        ensure!(
            named || self.is_absent() || self.is_there(),
            "{} exists and is not overwritten by a stand-in. If it is your trainer, make it do what docs/programs.md says and name it with \
             {}; or have both files in a folder of their own, with --out FOLDER/program.toml",
            self.path.display(),
            shell::command(["--set", &command].into_iter()),
        );
        Ok(())
    }

    /// A spec whose comment says of the trainer what holds: it is only written beside a spec that names it and is no text on
    /// standard output.
    pub fn spoken_of(&self, spec: String, named: bool, printed: bool) -> String {
        if named && (self.is_there() || self.is_absent() && !printed) {
            return spec;
        }
        let truth = if named && self.is_absent() {
            "# It needs a trainer, train.py, beside it. `runner init program --out FILE` writes a stand-in that trains nothing and makes its losses\n\
             # up. What is marked by > is yours to change.\n"
        } else {
            "# What is marked by > is yours to change.\n"
        };
        spec.replace(WRITTEN, truth)
    }

    /// Says that it was not written with a spec that was printed.
    pub fn tell_absence(&self) {
        if self.is_absent() {
            tell!(
                "note: {} is not there, and is not written beside a spec that is printed: `runner init program --out FILE` writes both, the \
                 trainer as a stand-in for yours",
                self.path.display()
            );
        }
    }

    fn is_absent(&self) -> bool {
        self.path.symlink_metadata().is_err()
    }

    /// Whether it is there already, as it would be written.
    fn is_there(&self) -> bool {
        fs::read(&self.path).is_ok_and(|there| there == self.text.as_bytes())
    }

    /// Writes it where nothing is, and says what it is.
    pub fn write(&self) -> anyhow::Result<()> {
        let is_new = self.is_absent();
        if is_new {
            out_file::create(&self.path, self.text.as_bytes())
                .context("the spec was written, and its trainer was not")?;
        }
        if self.is_there() {
            let what = if is_new { "wrote" } else { "as it was:" };
            tell!(
                "{what} {}, a stand-in that trains nothing and makes losses up: put your trainer in its place",
                self.path.display()
            );
        }
        Ok(())
    }
}
