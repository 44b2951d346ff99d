//! The approaches by name, in one table.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An approach to the compute-optimal model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub enum Approach {
    /// The envelope of training curves.
    #[value(name = "1")]
    #[serde(rename = "1")]
    Envelope,
    /// IsoFLOP parabolas.
    #[value(name = "2")]
    #[serde(rename = "2")]
    Parabolas,
    /// Huber loss of the log loss, minimized from a grid of starting points.
    #[value(name = "3")]
    #[serde(rename = "3")]
    Huber,
    /// Variable projection with non-negative least squares.
    #[serde(rename = "vpnls")]
    Vpnls,
}

impl Approach {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Envelope, Self::Parabolas, Self::Huber, Self::Vpnls];

    /// How files call it, how sentences do, and how the headings of tables do.
    const fn told(self) -> [&'static str; 3] {
        match self {
            Self::Envelope => ["1", "approach 1", "1, envelope"],
            Self::Parabolas => ["2", "approach 2", "2, IsoFLOP parabolas"],
            Self::Huber => ["3", "approach 3", "3, surface, robust"],
            Self::Vpnls => ["vpnls", "VPNLS", "VPNLS, surface, least squares"],
        }
    }

    /// How files call it.
    pub const fn key(self) -> &'static str {
        self.told()[0]
    }

    /// How sentences call it.
    pub const fn name(self) -> &'static str {
        self.told()[1]
    }

    /// What it is, for the headings of tables.
    pub const fn title(self) -> &'static str {
        self.told()[2]
    }

    /// Whether it fits a surface to all losses.
    pub const fn is_surface(self) -> bool {
        matches!(self, Self::Huber | Self::Vpnls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_the_command_line_have_one_name_for_each() {
        for approach in Approach::ALL {
            assert_eq!(serde_json::to_value(approach).unwrap(), approach.key());
            assert_eq!(approach.to_possible_value().unwrap().get_name(), approach.key());
        }
        assert!(serde_json::from_str::<Approach>("\"4\"").is_err());
    }
}
