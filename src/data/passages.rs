//! What the words of a text are where documents are compared: what stands between blanks. Scripts that put none between
//! words, such as Chinese, Japanese and Thai, would make a document one word, so that no part of it is found again: where a
//! corpus has much of them, each of their characters is a word.

use std::ops::Add;

use super::hash;

/// Characters of a hundred that are of such scripts, from which on a corpus has much of them. Texts of other scripts keep
/// their split, and their name in the cache.
const MUCH: u64 = 5;

/// What is a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// What stands between blanks.
    BetweenBlanks,
    /// The same, cut at every character of a script without blanks, which is one by itself.
    Characters,
}

impl Words {
    /// Hashes of the words of a text, in their order.
    pub fn hashes(self, text: &str) -> impl Iterator<Item = u64> {
        text.split_whitespace().flat_map(move |between| self.cut(between)).map(hash::text)
    }

    fn cut(self, mut between: &str) -> impl Iterator<Item = &str> {
        std::iter::from_fn(move || {
            let end = match self {
                Self::BetweenBlanks => between.len(),
                Self::Characters => first_word(between),
            };
            let (word, rest) = between.split_at(end);
            between = rest;
            (!word.is_empty()).then_some(word)
        })
    }
}

/// Bytes of the first word of a text without blanks.
fn first_word(text: &str) -> usize {
    match text.chars().next() {
        Some(first) if is_unspaced(first) => first.len_utf8(),
        _ => text.find(is_unspaced).unwrap_or(text.len()),
    }
}

/// Whether a character is of a script without blanks between words: Thai and Lao, Tibetan, Burmese, Khmer, kana, and
/// Chinese characters.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{e01}'..='\u{eff}' | '\u{f00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}')
}

/// How much of a text is in scripts without blanks between words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unspaced {
    /// Characters that are no blanks.
    all: u64,
    /// Those of them in such scripts.
    unspaced: u64,
}

impl Unspaced {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        let solid = || text.chars().filter(|character| !character.is_whitespace());
        Self {
            all: solid().count() as u64,
            unspaced: solid().filter(|character| is_unspaced(*character)).count() as u64,
        }
    }

    /// What is a word in such a text.
    pub fn words(self) -> Words {
        if self.unspaced > 0 && 100 * self.unspaced >= MUCH * self.all {
            Words::Characters
        } else {
            Words::BetweenBlanks
        }
    }
}

impl Add for Unspaced {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { all: self.all + other.all, unspaced: self.unspaced + other.unspaced }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "東京 is the capital of日本。 สวัสดี x";

    fn of(words: Words, text: &str) -> Vec<&str> {
        text.split_whitespace().flat_map(|between| words.cut(between)).collect()
    }

    #[test]
    fn characters_of_scripts_without_blanks_are_words_and_others_stand_between_blanks() {
        assert_eq!(of(Words::BetweenBlanks, MIXED), MIXED.split_whitespace().collect::<Vec<_>>());
        let thai = ["ส", "ว", "ั", "ส", "ด", "ี"];
        let expected = [&["東", "京", "is", "the", "capital", "of", "日", "本", "。"][..], &thai, &["x"]].concat();
        assert_eq!(of(Words::Characters, MIXED), expected);
        for words in [Words::BetweenBlanks, Words::Characters] {
            assert_eq!(words.hashes("a  b\n").collect::<Vec<_>>(), ["a", "b"].map(hash::text), "no blank is one");
            assert_eq!(words.hashes(" \n").count(), 0);
        }
    }

    #[test]
    fn text_with_blanks_keeps_its_words_although_it_names_a_city() {
        let prose = "Words of a text that names 東京 once, and goes on in words. ".repeat(3);
        assert_eq!(Unspaced::of(&prose).words(), Words::BetweenBlanks);
        assert_eq!(Unspaced::of("한국어는 띄어쓰기가 있다").words(), Words::BetweenBlanks, "Korean has blanks");
        assert_eq!(Unspaced::of("").words(), Words::BetweenBlanks);
        for text in ["吾輩は猫である。名前はまだ無い。", "ภาษาไทยไม่มีช่องว่าง", "base64 与 words"]
        {
            assert_eq!(Unspaced::of(text).words(), Words::Characters, "{text}");
        }
        // A tenth of a corpus is much.
        let some = Unspaced::of(&prose) + Unspaced::of(&"字".repeat(20));
        assert_eq!(some.words(), Words::Characters);
    }
}
