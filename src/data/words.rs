//! The words of GPT-2 (Radford et al. 2019), which no token of a byte-level BPE goes across. The rule is that of the
//! `tokenizers` crate, whose splitter makes several copies of each word, which takes most of the time of a tokenizer.

use std::sync::LazyLock;

use regex::Regex;

/// One word at the beginning of a text. Every character begins one.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\A(?:'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+)").expect("a regular expression")
});

/// The words of a text, which together are the text.
pub fn words(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let found = WORD.find(text)?.as_str();
        // White space leaves its last character to the word behind it.
        let blank = found.char_indices().next_back().filter(|(at, last)| *at > 0 && last.is_whitespace());
        let end = blank.filter(|_| found.len() < text.len()).map_or(found.len(), |(at, _)| at);
        let (word, rest) = text.split_at(end);
        text = rest;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    fn by_the_crate(text: &str) -> Vec<String> {
        let mut split = PreTokenizedString::from(text);
        ByteLevel::new(false, false, true).pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(_, (start, end), _)| text[start..end].to_owned()).collect()
    }

    #[test]
    fn words_are_those_of_the_crate() {
        let text = "I'll  say: 'tis\t\t\u{a0}\u{3000}x²½Ⅷ 12a\r\n\r\n  naïve東京 🦊🦊 \u{301}e\u{301} don't''s   ";
        assert_eq!(words(text).collect::<Vec<_>>(), by_the_crate(text));
        assert_eq!(words("").count(), 0);
    }

    proptest! {
        #[test]
        fn words_are_those_of_the_crate_in_any_text(text in "([ \n\t\u{a0}'a-dslt1é²東\u{301}.🦊]|\\PC){0,40}") {
            prop_assert_eq!(words(&text).collect::<Vec<_>>(), by_the_crate(&text));
        }
    }
}
