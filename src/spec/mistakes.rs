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
    while also.len() < MOST {
        let last = also.last().unwrap_or(&first);
        let Some(next) = mend(&mended, last) else { break };
        mended = next;
        let Some(error) = read(&mended) else { break };
        // A mistake that the mending made, or did not mend, would be told again and again.
        if [&first].into_iter().chain(&also).any(|told| related(&told.key, &error.key)) {
            break;
        }
        let line = locator.line_of(&Key::from(error.key.as_str()));
        also.push(SpecError { line, ..error });
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
        Some(value) => format!("{key}={value}"),
        None => format!("{key}="),
    };
    overrides::apply(text, &overrides::read(&[written]).ok()?).ok()
}

/// Whether two keys are one, or one is inside the other.
fn related(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(a, b) || within(b, a)
}
