//! A fit of any law with the rows that it is of, in words and as JSON.

use super::finding::Finding;
use super::print;
use super::request::Request;
use super::rows::Made;
use crate::commands::shared::json;
use crate::commands::shared::sheet::Room;
use crate::fit::named::{Dot, Law};

/// A fit with the rows that it is of.
pub(in crate::commands) struct FitOfRows {
    /// The group of rows, or the convention of counting: name and value.
    pub(super) labels: Vec<(&'static str, Option<String>)>,
    /// What stands above it in words.
    pub(super) title: String,
    /// The fit.
    pub(in crate::commands) finding: Box<dyn Finding>,
    /// What is drawn of its rows.
    pub(super) points: Vec<Dot>,
    /// What JSON calls the law, where it is not called as it was asked for.
    pub(super) called: Option<&'static str>,
    /// What JSON says of it beside the fit.
    pub(super) further: Vec<(&'static str, serde_json::Value)>,
    pub(super) made: Made,
}

impl FitOfRows {
    pub(super) fn new(group: Option<String>, finding: Box<dyn Finding>, made: &Made, points: Vec<Dot>) -> Self {
        let (title, made) = (String::new(), made.clone());
        Self { labels: vec![("group", group)], title, finding, points, called: None, further: Vec::new(), made }
    }

    /// The group that it is of, or both that are compared.
    pub(in crate::commands) fn name(&self) -> Option<String> {
        let known: Vec<&str> = self.labels.iter().filter_map(|(_, value)| value.as_deref()).collect();
        (!known.is_empty()).then(|| known.join(" against "))
    }

    /// As JSON, without the law's own name.
    pub(in crate::commands) fn json(
        &self,
        law: Option<Law>,
    ) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
        let version = ("schema_version".to_owned(), json::SCHEMA_VERSION.into());
        let called = self.called.unwrap_or_else(|| law.map_or("formula", Law::name));
        let mut object = serde_json::Map::from_iter([version, ("law".to_owned(), called.into())]);
        object.extend(self.labels.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?.into()))));
        for part in [self.finding.json()?, serde_json::to_value(&self.made)?] {
            if let serde_json::Value::Object(fields) = part {
                object.extend(fields);
            }
        }
        object.extend(self.further.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Ok(object)
    }
}

/// All of them in words or as JSON, one object a line.
pub(super) fn text(told: &[FitOfRows], law: Law, request: &Request) -> anyhow::Result<String> {
    if !request.args.json {
        return Ok(words(told, request.room));
    }
    told.iter().map(|one| Ok(serde_json::to_string(&one.json(Some(law))?)? + "\n")).collect()
}

/// All of them in words.
pub(in crate::commands) fn words(told: &[FitOfRows], room: Room) -> String {
    let mut text = String::new();
    let mut before = None;
    for one in told {
        // Said once for all conventions of a group.
        let group = one.labels.iter().find(|(name, _)| *name == "group").and_then(|(_, value)| value.as_deref());
        if let Some(group) = group.filter(|group| before != Some(*group)) {
            text += &print::heading(group);
        }
        before = group;
        text += &one.title;
        text += &one.finding.text(room);
    }
    text
}
