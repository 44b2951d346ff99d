//! The answer of a sweep in words: the headline first, what stands beside it, and what limits it. The page, the closing
//! lines of `runner sweep` and `runner ls` all say it in the words made here.

use super::{Question, ReportInput, choices, words};
use crate::fit::approaches::headline::Headline;
use crate::fit::approaches::summary::Summary;
use crate::fit::transfer::rates::Group;
use crate::observation::Counting;

/// Groups that the answer speaks of; more of them are for the list of conclusions.
const MOST_VERDICTS: usize = 4;

/// The answer in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The answer itself, a sentence or a few.
    pub lead: String,
    /// The same by other conventions and approaches, named in full; empty where there is nothing of the kind.
    pub beside: String,
    /// What limits it, a sentence; empty where nothing does that is known.
    pub limits: String,
}

impl Answer {
    /// All of it as one paragraph.
    pub fn paragraph(&self) -> String {
        let said = [&self.lead, &self.beside, &self.limits].map(String::as_str);
        said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// The answer to what the sweep asks.
pub fn answer(input: &ReportInput<'_>) -> Answer {
    if let Some(question) = input.question {
        return of_question(question);
    }
    if let Some(lead) = input.choices.and_then(|(goal, steps)| choices::sentence(goal, steps)) {
        // What the runs were chosen for comes first; that they give other numbers as well is only said where they do.
        let rest = if input.headline().is_some() { of_curves(input) } else { Answer::default() };
        return Answer { lead, beside: [rest.lead, rest.beside].join(" ").trim().to_owned(), limits: rest.limits };
    }
    of_curves(input)
}

/// What curves and groups of them say.
fn of_curves(input: &ReportInput<'_>) -> Answer {
    let lead_alone = |lead: String| Answer { lead, ..Answer::default() };
    if !input.transfer.is_empty() {
        return lead_alone(of_transfer(input.transfer));
    }
    if !input.savings.is_empty() {
        let verdicts: Vec<&str> = input.savings.iter().map(|saving| saving.conclusion.as_str()).collect();
        return lead_alone(verdicts.join(" "));
    }
    if !input.isoflop_groups.is_empty() {
        return of_groups(input);
    }
    if input.approach2.is_empty() {
        let asked = "IsoFLOP curves, and learning rates at several widths, are fitted without being asked; another sweep asks under \
                     [fit] in its spec: `runner explain fit.law`";
        return lead_alone(format!("There is no answer yet: no fit was made. {asked}."));
    }
    let Some(headline) = input.headline() else {
        let fits: Vec<Summary> = input.approach2.iter().map(Summary::from).collect();
        return lead_alone(format!("There is no compute-optimal ratio to report: {}", Headline::missing(&fits)));
    };
    Answer {
        lead: format!("The compute-optimal ratio is {headline}; the 95% interval is in brackets."),
        beside: beside(input, &headline),
        limits: headline.limited_by().unwrap_or_default(),
    }
}

/// The conclusions of the law that was asked for.
fn of_question(question: &Question) -> Answer {
    let conclusions = question.conclusions();
    let shown = conclusions.iter().take(MOST_VERDICTS).map(|(name, said)| match conclusions.len() {
        1 => said.clone(),
        _ => format!("{name}: {said}"),
    });
    let mut lead: Vec<String> = shown.collect();
    if conclusions.len() > MOST_VERDICTS {
        lead.push(format!("{} more are below.", conclusions.len() - MOST_VERDICTS));
    }
    if lead.is_empty() {
        lead.push("There is no answer yet.".to_owned());
    }
    Answer { lead: lead.join(" "), beside: String::new(), limits: question.problem.clone().unwrap_or_default() }
}

fn of_transfer(groups: &[Group]) -> String {
    let verdict = |group: &Group| format!("{}: {}", group.parameterization, group.transfer.conclusion);
    let verdicts: Vec<String> = groups.iter().take(MOST_VERDICTS).map(verdict).collect();
    let more = groups.len() - verdicts.len();
    let more = if more == 0 { String::new() } else { format!(" {more} more groups are below.") };
    format!("Does the best learning rate hold at other widths? {}{more}", verdicts.join(" "))
}

/// The headline of each group, or why there is none.
fn of_groups(input: &ReportInput<'_>) -> Answer {
    let said = input.isoflop_groups.iter().filter_map(|group| {
        let fits: Vec<Summary> = group.fits.iter().map(Summary::from).collect();
        match Headline::of(&fits) {
            Some(headline) => Some(format!("{}: {headline}", group.name)),
            None => Some(format!("{}: {}", group.name, fits.first()?.status.words())),
        }
    });
    let lead =
        format!("Compute-optimal ratios, with 95% intervals in brackets: {}.", said.collect::<Vec<_>>().join("; "));
    Answer { lead, ..Answer::default() }
}

/// The same number under other conventions, and what the other approaches say of it.
fn beside(input: &ReportInput<'_>, headline: &Headline) -> String {
    let fits: Vec<Summary> = input.approach2.iter().map(Summary::from).collect();
    let others = Counting::ALL.into_iter().filter(|counting| *counting != headline.counting);
    let countings = others.filter_map(|counting| {
        let other = Headline::counting(&fits, counting).filter(|other| words::same(other.budget, headline.budget))?;
        Some(format!("{} counting {}", other.number(), words::counting(counting)))
    });
    let approaches = input.approaches_by(headline.counting).filter(|fit| fit.approach != headline.approach);
    let approaches = approaches.map(|fit| {
        let name = fit.approach.name();
        let ratio = words::ratio_at(&fit.tokens_per_param, headline.budget);
        match words::shown(fit.status, ratio) {
            Some(ratio) => format!("{} by {name}", words::estimate(ratio, words::amount)),
            None => format!("no result by {name} ({})", fit.status.words()),
        }
    });
    let (countings, approaches): (Vec<String>, Vec<String>) = (countings.collect(), approaches.collect());
    let listed = |said: &[String], what: &str| {
        if said.is_empty() { None } else { Some(format!("{what}: {}.", said.join(", "))) }
    };
    let sentences =
        [listed(&countings, "Other ways to count"), listed(&approaches, "Other approaches, all parameters")];
    sentences.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

impl ReportInput<'_> {
    /// The headline of a sweep of IsoFLOP curves.
    pub(super) fn headline(&self) -> Option<Headline> {
        let fits: Vec<Summary> = self.approach2.iter().map(Summary::from).collect();
        Headline::of(&fits).map(|headline| headline.measured_by(self.observations))
    }
}
