//! All mistakes of a spec at once. A reader stops at the first; here it is mended in a copy of the text, by the example of
//! its key or by taking an unknown key away, and the copy is read again. The copy is for finding mistakes only.

use super::SpecError;
use super::locate::{Key, Locator};
use super::{keys, overrides};

/// More mistakes than this are another kind of file.
const MOST: usize = 20;

/// The first mistake with those that come after it.
pub(super) fn all(first: SpecError, text: &str, read: impl Fn(&str) -> Option<SpecError>) -> SpecError {
    let locator = Locator::new(text);
    let (mut mended, mut also) = (text.to_owned(), Vec::<SpecError>::new());
    let (mut last, mut seen) = (first.clone(), vec![first.key.clone()]);
    while also.len() < MOST {
        let Some(next) = mend(&mended, &last) else { break };
        mended = next;
        let Some(error) = read(&mended) else { break };
        // A mistake that the mending made, or did not mend, would be told again and again.
        if seen.iter().any(|key| related(key, &error.key)) {
            break;
        }
        seen.push(error.key.clone());
        // Where an unknown key was taken away, its table lacks what it was meant for: mended too, and not told.
        let follows = keys::example(&last.key).is_none() && table(&last.key) == table(&error.key);
        last = error.clone();
        if !follows {
            let line = locator.line_of(&Key::from(error.key.as_str()));
            also.push(SpecError { line, ..error });
        }
    }
    let chain = |next: Option<Box<SpecError>>, error: SpecError| Some(Box::new(SpecError { next, ..error }));
    SpecError { next: also.into_iter().rev().fold(None, chain), ..first }
}

/// The text without a mistake; nothing where its key has no example or stands in a list.
fn mend(text: &str, error: &SpecError) -> Option<String> {
    let key = &error.key;
    if key.is_empty() || key.contains(['[', '"']) {
        return None;
    }
    let written = match keys::example(key) {
        Some(table) if table.starts_with('[') && table[1..].starts_with(char::is_alphabetic) => return None,
        // Of fields to vary, which would meet those that are there.
        Some(fields) if fields.starts_with("{ \"") => return None,
        Some(value) => format!("{key}={value}"),
        None => format!("{key}="),
    };
    overrides::apply(text, &overrides::read(&[written]).ok()?).ok()
}

/// The table that a key stands in.
fn table(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(table, _)| table)
}

/// Whether two keys are one, or one is inside the other.
fn related(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(a, b) || within(b, a)
}
