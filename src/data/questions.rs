//! Questions that a model answers at the end of its training: copying, induction and addition are made, and clozes are taken
//! from held-out text. The same for all runs on one corpus.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ids::Numbering;
use super::tokenizer::Tokenizer;
use super::{Corpus, DataError, Tokens, hash};
use crate::spec::{Task, TaskKind};

/// Stands in the key of random numbers, so that they are no other ones.
const KEY: u64 = 0x7461_736b;

/// A sequence of context + 1 tokens of which some are to be told. What comes after them is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The sequence.
    pub tokens: Vec<u16>,
    /// The places of the answer in it.
    pub answer: Range<usize>,
}

/// What writes text in the tokens of a corpus.
struct Writer {
    tokenizer: Tokenizer,
    /// How its ids became those of the corpus.
    numbering: Numbering,
}

impl Writer {
    /// The tokens of a text; nothing where the corpus has none for all of it.
    fn tokens(&self, text: &str) -> Option<Vec<u16>> {
        let Self { tokenizer, numbering } = self;
        let ids = tokenizer.encode(text).ok().filter(|_| tokenizer.dropped(text) == 0)?;
        let known = |id: &u32| Some(*id) != tokenizer.unknown;
        ids.iter().map(|id| numbering.number(*id).filter(|_| known(id))).collect()
    }

    /// The tokens of a sum, which are asked for and learned only where the text has them.
    fn sum(&self, text: &str) -> Result<Vec<u16>, DataError> {
        self.tokens(text).ok_or_else(|| {
            let lacks = |character: &char| self.tokens(character.encode_utf8(&mut [0; 4])).is_none();
            let lacking: Vec<String> = "0123456789+=".chars().filter(lacks).map(String::from).collect();
            let why = match &self.numbering {
                Numbering::AsTheyAre(_) if !lacking.is_empty() => format!("it has none for {}", lacking.join(" ")),
                Numbering::AsTheyAre(_) => "its tokenizer does not know all of it".to_owned(),
                Numbering::Anew(_) => "some of its tokens occur nowhere in the text".to_owned(),
            };
            let what = format!(
                "addition is asked in digits, + and =, and the tokens of this corpus cannot write {text}: {why}; take a text \
                 with sums, a tokenizer of bytes (data.vocab = 256 or more), or another task"
            );
            DataError::configuration("source", what)
        })
    }
}

impl Corpus {
    /// The questions of a task. Four after one another are one cloze: the right continuation comes first.
    pub fn questions(&self, task: &Task) -> Result<Vec<Question>, DataError> {
        let mut generator = ChaCha8Rng::seed_from_u64(hash::key(&[KEY, self.seed, task.length as u64]));
        match task.kind {
            TaskKind::Cloze => self.clozes(task),
            TaskKind::Addition => {
                let writer = self.writer()?;
                (0..task.questions).map(|_| self.addition(task.length, &writer, &mut generator)).collect()
            }
            TaskKind::Copy => Ok((0..task.questions).map(|_| self.copy(task.length, &mut generator)).collect()),
            TaskKind::Induction => {
                Ok((0..task.questions).map(|_| self.induction(task.length, &mut generator)).collect())
            }
        }
    }

    /// Random tokens, and all but the first once more after the first: `a b c a` asks for `b c`.
    fn copy(&self, length: usize, generator: &mut ChaCha8Rng) -> Question {
        let copied = self.random(length, generator);
        let tokens = [copied.as_slice(), copied.as_slice()].concat();
        self.question(tokens, length + 1..2 * length)
    }

    /// Random tokens after which the first comes again: what came after it is asked for.
    fn induction(&self, length: usize, generator: &mut ChaCha8Rng) -> Question {
        let mut tokens = self.random(length + 1, generator);
        let first = tokens[0];
        // The first stands nowhere else.
        for token in &mut tokens[1..] {
            while *token == first {
                *token = generator.random_range(0..self.manifest.vocab) as u16;
            }
        }
        let second = tokens[1];
        tokens.extend([first, second]);
        let end = tokens.len();
        self.question(tokens, end - 1..end)
    }

    /// `12+99=111` with the digits of the sum reversed, from the ones up: so each depends on those before it (Lee et al.
    /// 2023, arXiv 2307.03381).
    fn addition(&self, digits: usize, writer: &Writer, generator: &mut ChaCha8Rng) -> Result<Question, DataError> {
        let mut number = || -> Vec<u8> { (0..digits).map(|_| generator.random_range(0..10_u8)).collect() };
        let (a, b) = (number(), number());
        let text = |digits: &[u8]| digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect::<String>();
        let mut sum = Vec::new();
        let mut carry = 0;
        for (a, b) in a.iter().zip(&b) {
            sum.push((a + b + carry) % 10);
            carry = (a + b + carry) / 10;
        }
        sum.push(carry);
        let asked = format!("{}+{}=", text(&a), text(&b));
        let answer: String = sum.iter().map(|digit| char::from(b'0' + digit)).collect();
        let mut tokens = writer.sum(&asked)?;
        let begin = tokens.len();
        tokens.extend(writer.sum(&answer)?);
        let end = tokens.len();
        if begin == 0 || end == begin || end > self.context + 1 {
            let what = format!(
                "{asked}{answer} has {end} tokens, which a context of {} cannot hold; write a smaller length",
                self.context
            );
            return Err(DataError::configuration("source", what));
        }
        Ok(self.question(tokens, begin..end))
    }

    /// Ends of held-out sequences, each with those of three others that stand far from it.
    fn clozes(&self, task: &Task) -> Result<Vec<Question>, DataError> {
        let context = self.context;
        let all = self.validation_sequences((task.questions * context) as u64);
        if all < 4 {
            let what = format!("a cloze needs 4 held-out sequences of {context} tokens, and there are {all}");
            return Err(DataError::configuration("validation_fraction", what));
        }
        let mut tokens = Vec::new();
        self.validation_batch((task.questions * context) as u64, 0, all, &mut tokens);
        let sequences: Vec<&[u16]> = tokens.chunks_exact(context + 1).collect();
        let begin = context + 1 - task.length;
        let mut questions = Vec::with_capacity(4 * all);
        for (at, sequence) in sequences.iter().enumerate() {
            for choice in 0..4 {
                let other = sequences[(at + choice * (all / 4)) % all];
                let tokens = [&sequence[..begin], &other[begin..]].concat();
                questions.push(Question { tokens, answer: begin..context + 1 });
            }
        }
        Ok(questions)
    }

    /// Tokens that are drawn alike.
    fn random(&self, count: usize, generator: &mut ChaCha8Rng) -> Vec<u16> {
        (0..count).map(|_| generator.random_range(0..self.manifest.vocab) as u16).collect()
    }

    /// A sequence filled up to the context with tokens that nothing before them sees.
    fn question(&self, mut tokens: Vec<u16>, answer: Range<usize>) -> Question {
        tokens.resize(self.context + 1, 0);
        Question { tokens, answer }
    }

    /// The tokenizer that the text of this corpus was encoded with, and what became of its ids.
    fn writer(&self) -> Result<Writer, DataError> {
        match (&self.tokens, &self.manifest.text) {
            (Tokens::Files { .. }, Some(text)) => Ok(Writer {
                tokenizer: Tokenizer::prepared(&self.folder.join("tokenizer.json"))?,
                numbering: Numbering::kept_in(&self.folder, self.manifest.vocab as u64, text.numbered_from)?,
            }),
            _ => Err(DataError::configuration(
                "source",
                "addition is asked in text, and this source has no tokenizer; write a text, or another task",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Corpus;
    use crate::plan::testing::small;

    const CONTEXT: usize = 16;

    fn questions(kind: TaskKind, length: usize) -> Vec<Question> {
        let cache = tempfile::tempdir().unwrap();
        let data = small(|spec| spec.data.vocab = Some(256)).run.data;
        let corpus = Corpus::prepare(&data, CONTEXT, cache.path(), &mut |_| {}).unwrap();
        corpus.questions(&Task { kind, questions: 20, length }).unwrap()
    }

    #[test]
    fn a_copy_asks_for_what_stands_before_it() {
        for Question { tokens, answer } in questions(TaskKind::Copy, 5) {
            assert_eq!((tokens.len(), &answer), (CONTEXT + 1, &(6..10)));
            assert_eq!(tokens[..5], tokens[5..10]);
        }
    }

    #[test]
    fn induction_asks_for_what_came_after_the_only_token_of_its_kind() {
        for Question { tokens, answer } in questions(TaskKind::Induction, 7) {
            let at = answer.start;
            assert_eq!((tokens[at - 1], tokens[at]), (tokens[0], tokens[1]));
            assert!(tokens[1..at - 1].iter().all(|token| *token != tokens[0]));
        }
    }

    #[test]
    fn a_cloze_is_four_ends_of_one_beginning_and_the_first_is_its_own() {
        let questions = questions(TaskKind::Cloze, 4);
        assert_eq!(questions.len(), 80);
        for four in questions.chunks(4) {
            assert!(four.iter().all(|choice| choice.tokens[..13] == four[0].tokens[..13]));
            assert!(four[1..].iter().all(|choice| choice.tokens != four[0].tokens));
        }
    }
}
