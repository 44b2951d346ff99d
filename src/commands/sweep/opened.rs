//! Which devices of a sweep open, before it begins.

use std::fmt;
use std::path::Path;

use crate::commands::shared::{device, program};
use crate::trainer::DeviceInfo;

/// The devices of a sweep, as far as is known before workers open them.
pub(super) struct Opened {
    /// What the first one is that opens.
    pub(super) device: DeviceInfo,
    /// That one and those behind it.
    pub(super) devices: Vec<String>,
    /// Those before it, with the reasons.
    pub(super) shut: Vec<(String, String)>,
    /// The names of cards, by number.
    cards: Vec<String>,
}

impl Opened {
    /// Opens devices until one does; those that do not are told.
    pub(super) fn first_of(devices: &[String], cache: &Path, threads: usize) -> anyhow::Result<Self> {
        let mut shut = Vec::new();
        for (at, name) in devices.iter().enumerate() {
            match device::trainer(name, cache, threads) {
                Ok(trainer) => {
                    for (name, reason) in &shut {
                        tell!("{name} gets no runs: {reason}");
                    }
                    let (device, devices) = (trainer.device(), devices[at..].to_vec());
                    return Ok(Self { device, devices, shut, cards: device::cards() });
                }
                Err(error) if devices.len() == 1 => return Err(error),
                Err(error) => shut.push((name.clone(), format!("{error:#}"))),
            }
        }
        let reasons: Vec<&str> = shut.iter().map(|(_, reason)| reason.as_str()).collect();
        anyhow::bail!("none of {} opens: {}", devices.join(", "), reasons.join("; "))
    }

    /// Nothing is opened where a program trains.
    pub(super) fn by_program(devices: &[String], command: &[String], threads: usize) -> Self {
        let device = program::info(command, &devices[0], threads);
        Self { device, devices: devices.to_vec(), shut: Vec::new(), cards: Vec::new() }
    }

    /// The name of each card, where they differ.
    fn differing(&self) -> Option<Vec<String>> {
        let card = |name: &String| self.cards.get(name.strip_prefix("cuda:")?.parse::<usize>().ok()?);
        let cards: Vec<&String> = self.devices.iter().filter_map(card).collect();
        let differ = cards.len() == self.devices.len() && cards.iter().any(|card| *card != cards[0]);
        let named = self.devices.iter().zip(&cards).map(|(name, card)| format!("{name} ({card})"));
        differ.then(|| named.collect())
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceInfo { kind, name, driver, threads, precision } = &self.device;
        let more = format!("{driver}, {precision}, threads a run: {threads}");
        match (self.differing(), self.devices.as_slice()) {
            (Some(cards), _) => write!(f, "{} ({more})", cards.join(", ")),
            (None, [_]) if self.shut.is_empty() => write!(f, "{kind}: {name} ({more})"),
            (None, devices) => write!(f, "{}: {name} ({more})", devices.join(", ")),
        }
    }
}

/// Where slots will be measured on a card, begins this command once more with what workers have.
pub(super) fn measure_as_workers(asked: &str) {
    if asked.starts_with("cuda") || asked == "auto" && !device::cards().is_empty() {
        device::as_worker();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::rehearsal;

    #[test]
    fn a_device_that_does_not_open_leaves_the_work_to_those_behind_it() {
        let cache = Path::new("cache");
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let opened = Opened::first_of(&list(&["cuda:77", rehearsal::DEVICE, "cuda:78"]), cache, 1).unwrap();
        assert_eq!(opened.devices, [rehearsal::DEVICE, "cuda:78"]);
        assert!(matches!(&opened.shut[..], [(name, reason)] if name == "cuda:77" && !reason.is_empty()));
        let none = Opened::first_of(&list(&["cuda:77", "cuda:78"]), cache, 1).err().unwrap().to_string();
        assert!(none.contains("none of cuda:77, cuda:78 opens"), "{none}");
        let one = Opened::first_of(&list(&["cuda:77"]), cache, 1).err().unwrap().to_string();
        assert!(one.contains("cuda"), "{one}");
    }

    #[test]
    fn cards_are_named_one_by_one_where_they_differ() {
        let told = |cards: &[&str]| {
            let devices = ["cuda:0", "cuda:1"].map(str::to_owned).to_vec();
            let (device, shut) = (crate::ledger::testing::device(), Vec::new());
            Opened { device, devices, shut, cards: cards.iter().map(ToString::to_string).collect() }.to_string()
        };
        assert!(told(&["A", "B"]).starts_with("cuda:0 (A), cuda:1 (B) ("), "{}", told(&["A", "B"]));
        assert!(told(&["A", "A"]).starts_with("cuda:0, cuda:1: "), "{}", told(&["A", "A"]));
        assert!(told(&[]).starts_with("cuda:0, cuda:1: "), "{}", told(&[]));
    }
}
