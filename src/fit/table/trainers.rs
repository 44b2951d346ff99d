//! Who trained the runs of a table: by the columns of devices, nobody where losses are made up, a program of somebody's own, or
//! `runner` itself.

use std::collections::{BTreeMap, BTreeSet};

use csv::StringRecord;

use crate::columns::{DEVICE, DEVICE_NAME, PROGRAM, REHEARSAL};

/// The trainers that the rows tell of.
pub(super) struct Trainers {
    device: Option<usize>,
    command: Option<usize>,
    /// Rows whose losses are made up.
    pub(super) rehearsed: usize,
    /// The trainers of each group of rows.
    seen: BTreeMap<String, BTreeSet<String>>,
}

impl Trainers {
    pub(super) fn of(headers: &StringRecord) -> Self {
        let place = |name: &str| headers.iter().position(|header| header.trim() == name);
        Self { device: place(DEVICE), command: place(DEVICE_NAME), rehearsed: 0, seen: BTreeMap::new() }
    }

    /// Notes the trainer of a row, which is of this group.
    pub(super) fn see(&mut self, row: &StringRecord, group: &str) {
        let trainer = match self.device.map_or("", |at| row[at].trim()) {
            "" => return,
            REHEARSAL => {
                self.rehearsed += 1;
                return;
            }
            PROGRAM => match self.command.and_then(|at| name(&row[at])) {
                Some(name) => name.to_owned(),
                None => return,
            },
            _ => "runner".to_owned(),
        };
        self.seen.entry(group.to_owned()).or_default().insert(trainer);
    }

    /// What is said where runs of several trainers would be fitted as one curve.
    pub(super) fn note(&self) -> Option<String> {
        let mixed = self.seen.values().find(|trainers| trainers.len() > 1)?;
        let named: Vec<&str> = mixed.iter().map(String::as_str).collect();
        Some(format!(
            "{DEVICE_NAME}: several trainers made these runs, {}, and are fitted as one; where their losses are not to be compared, --by \
             {DEVICE_NAME} fits each by itself",
            named.join(" and ")
        ))
    }
}

/// What a command starts: the script that it names, without its folder, or else its first word. The same trainer may lie elsewhere on
/// another machine, have other options and be started by another Python.
fn name(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let is_script = |word: &&str| [".py", ".sh", ".jl"].iter().any(|end| word.ends_with(end)) && !word.starts_with('-');
    let named = words.clone().find(is_script).or_else(|| words.next())?;
    named.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(rows: &[[&str; 3]]) -> Option<String> {
        let mut trainers = Trainers::of(&StringRecord::from(vec!["loss", "device", "device_name"]));
        for [group, device, command] in rows {
            trainers.see(&StringRecord::from(vec!["3.0", device, command]), group);
        }
        trainers.note()
    }

    #[test]
    fn two_programs_in_one_group_are_told_and_one_on_two_machines_is_not() {
        let one = ["", "program", "python3 train.py {config}"];
        let elsewhere = ["", "program", "/opt/bin/python3.12 /home/me/train.py {config}"];
        let on_eight = ["", "program", "torchrun --nproc_per_node=8 train.py {config}"];
        assert_eq!(note(&[one, elsewhere, on_eight]), None);
        let other = ["", "program", "./litgpt {config}"];
        let told = note(&[one, other]).unwrap();
        assert!(told.contains("litgpt and train.py") && told.contains("--by device_name"), "{told}");
        let [own, own_card] = [["", "cpu", "AMD EPYC"], ["", "cuda", "NVIDIA H200"]];
        assert_eq!(note(&[own, own_card]), None, "one program on several devices");
        assert!(note(&[own, one]).unwrap().contains("runner and train.py"));
        // Nothing is mixed in groups of their own, and rows without a device tell of no trainer.
        assert_eq!(note(&[["a", one[1], one[2]], ["b", other[1], other[2]]]), None);
        assert_eq!(note(&[one, ["", "", ""]]), None);
    }
}
