//! A formula as text, read into a tree whose every node knows its place.
//!
//! The grammar is that of calculators and notebooks: `+ - * /`, `^` or `**` from the right, a minus that binds weaker than a
//! power, functions with their arguments in brackets, and names, which may carry an index: `A{optimizer}`.
//! Precedence is winnow's, which the tables of TOML need anyway.

use std::ops::Range;

use winnow::combinator::{Infix, Prefix, alt, dispatch, expression, fail, opt, peek, preceded};
use winnow::prelude::*;
use winnow::stream::LocatingSlice;
use winnow::token::{any, take_till, take_while};

use super::error::FormulaError;

/// A function of one or two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Exp,
    Ln,
    Log2,
    Log10,
    Sqrt,
    Abs,
    Tanh,
    Min,
    Max,
}

impl Function {
    const NAMED: [(&'static str, Self); 10] = [
        ("exp", Self::Exp),
        ("log", Self::Ln),
        ("ln", Self::Ln),
        ("log2", Self::Log2),
        ("log10", Self::Log10),
        ("sqrt", Self::Sqrt),
        ("abs", Self::Abs),
        ("tanh", Self::Tanh),
        ("min", Self::Min),
        ("max", Self::Max),
    ];

    fn arguments(self) -> usize {
        if matches!(self, Self::Min | Self::Max) { 2 } else { 1 }
    }

    fn names() -> String {
        Self::NAMED.map(|(name, _)| name).join(", ")
    }
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Number(f64),
    /// A column or an unknown, which may differ by the values of the column that is its index.
    Name {
        name: String,
        index: Option<String>,
    },
    Minus,
    Operator(Operator),
    /// Its name is kept for messages, as it may be none that is known.
    Call(String),
    Function(Function),
}

/// A formula or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    pub(super) kind: Kind,
    /// Its bytes in the text.
    pub(super) place: Range<usize>,
    pub(super) arguments: Vec<Tree>,
}

impl Tree {
    fn leaf(kind: Kind, place: Range<usize>) -> Self {
        Self { kind, place, arguments: Vec::new() }
    }

    /// Calls `see` for this node and all below it, parents first.
    pub(super) fn walk<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        self.arguments.iter().for_each(|argument| argument.walk(see));
    }

    /// How deep it is nested.
    fn depth(&self) -> usize {
        1 + self.arguments.iter().map(Self::depth).max().unwrap_or(0)
    }
}

type Input<'a> = LocatingSlice<&'a str>;

/// Characters of a formula above which it is none.
const LONGEST: usize = 10_000;
/// Brackets within brackets, which cost stack.
const DEEPEST: usize = 200;

/// Reads the part of a formula that begins at byte `from` and goes to its end.
pub(super) fn parse(text: &str, from: usize) -> Result<Tree, FormulaError> {
    let wrong = |place: Range<usize>, what: &str| Err(FormulaError::new(text, place, what));
    if text.len() > LONGEST {
        return wrong(0..1, "longer than 10,000 characters");
    }
    brackets(text, from)?;
    let mut input = LocatingSlice::new(text);
    let _skipped: &str = winnow::token::take(text[..from].chars().count())
        .parse_next(&mut input)
        .map_err(|_: winnow::error::ContextError| FormulaError::new(text, from..from, "cannot be read from here"))?;
    let read = sum(&mut input);
    let rest = input.trim_start();
    let at = text.len() - rest.len();
    let next = rest.chars().next().map_or(0, char::len_utf8);
    let shown = &rest[..next];
    if let Some(remedy) = plain(rest.chars().next()) {
        return wrong(at..at + next, &format!("'{shown}' is no sign of a formula: {remedy}"));
    }
    // All of what looks like a number.
    let word = &rest[..rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len())];
    match read {
        Err(_) if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            wrong(at..at + word.len(), &format!("'{word}' is no number"))
        }
        Err(_) if rest.is_empty() => wrong(at..at, "ends where a number, a name or a bracket should follow"),
        Err(_) => wrong(at..at + next, &format!("a number, a name or a bracket should stand here, not '{shown}'")),
        Ok(_) if !rest.is_empty() => {
            let what = format!("an operator such as * is missing before '{shown}', or it cannot stand here");
            wrong(at..at + next, &what)
        }
        Ok(tree) if tree.depth() > DEEPEST => wrong(from..text.len(), "brackets are nested too deeply"),
        Ok(tree) => known(text, tree),
    }
}

/// Every bracket, brace and backtick has its other one. What is between backticks is a name, whatever is in it.
fn brackets(text: &str, from: usize) -> Result<(), FormulaError> {
    let wrong = |at: usize, what: &str| Err(FormulaError::new(text, at..at + 1, what));
    let mut open = Vec::new();
    let mut characters = text.char_indices().skip_while(|(at, _)| *at < from).peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '`' if !characters.by_ref().any(|(_, c)| c == '`') => return wrong(at, "this backtick is never closed"),
            '{' => index(text, at, &mut characters)?,
            '}' => return wrong(at, "this brace was never opened"),
            '(' => open.push(at),
            ')' if open.pop().is_none() => return wrong(at, "this bracket was never opened"),
            _ => {}
        }
        if open.len() > DEEPEST {
            return wrong(at, "brackets are nested too deeply");
        }
    }
    match open.pop() {
        Some(at) => wrong(at, "this bracket is never closed"),
        None => Ok(()),
    }
}

/// What is between braces is the name of one column, and stands right behind that of an unknown.
fn index(text: &str, at: usize, characters: &mut impl Iterator<Item = (usize, char)>) -> Result<(), FormulaError> {
    let wrong = |place: Range<usize>, what: &str| Err(FormulaError::new(text, place, what));
    if !text[..at].ends_with(|c: char| is_of_name(c) || c == '`') {
        return wrong(at..at + 1, "an index stands right behind the name of an unknown, as in A{optimizer}");
    }
    let mut quoted = false;
    for (end, c) in characters {
        match c {
            '`' => quoted = !quoted,
            _ if quoted => {}
            '{' => return wrong(end..end + 1, "an index is the name of one column and has no index itself"),
            '}' if unquoted(&text[at + 1..end]).is_empty() => {
                return wrong(at..end + 1, "between the braces stands the name of a column, as in A{optimizer}");
            }
            '}' => return Ok(()),
            _ => {}
        }
    }
    wrong(at..at + 1, "this brace is never closed")
}

/// A name as it is without backticks and the spaces around it.
pub(super) fn unquoted(name: &str) -> &str {
    let name = name.trim();
    name.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or(name)
}

/// Whether a name may have this character without backticks. Raised digits are powers.
fn is_of_name(c: char) -> bool {
    (c.is_alphanumeric() && !RAISED.contains(c)) || c == '_' || c == '.'
}

/// Digits that stand for a power in print.
const RAISED: &str = "\u{b9}\u{b2}\u{b3}\u{2070}\u{2074}\u{2075}\u{2076}\u{2077}\u{2078}\u{2079}";

/// What a sign of print is here.
fn plain(sign: Option<char>) -> Option<&'static str> {
    match sign? {
        '\u{b7}' | '\u{d7}' | '\u{22c5}' => Some("for a product write *"),
        '\u{2212}' | '\u{2013}' => Some("for a difference write -"),
        '\u{f7}' => Some("for a quotient write /"),
        c if RAISED.contains(c) => Some("for a power write ^ and the number"),
        _ => None,
    }
}

/// Names of functions turned into functions, with as many arguments as they take.
fn known(text: &str, tree: Tree) -> Result<Tree, FormulaError> {
    let Tree { kind, place, arguments } = tree;
    let arguments = arguments.into_iter().map(|argument| known(text, argument)).collect::<Result<Vec<_>, _>>()?;
    if kind == Kind::Number(f64::INFINITY) {
        return Err(FormulaError::new(text, place, "this number is too large"));
    }
    let Kind::Call(name) = kind else { return Ok(Tree { kind, place, arguments }) };
    let Some((_, function)) = Function::NAMED.into_iter().find(|(known, _)| *known == name) else {
        let what =
            format!("'{name}' is no function that is known ({}); for a product write {name}*(...)", Function::names());
        return Err(FormulaError::new(text, place.start..place.start + name.len(), what));
    };
    if arguments.len() != function.arguments() {
        let what = format!("{name} takes {} and not {} numbers", function.arguments(), arguments.len());
        return Err(FormulaError::new(text, place, what));
    }
    Ok(Tree { kind: Kind::Function(function), place, arguments })
}

fn spaces(input: &mut Input) -> winnow::Result<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

fn join(operator: Operator, left: Tree, right: Tree) -> Tree {
    let place = left.place.start..right.place.end;
    Tree { kind: Kind::Operator(operator), place, arguments: vec![left, right] }
}

fn sum(input: &mut Input) -> winnow::Result<Tree> {
    use Operator::{Add, Divide, Multiply, Power, Subtract};
    let minus = |_: &mut Input, tree: Tree| {
        let place = tree.place.start.saturating_sub(1)..tree.place.end;
        Ok(Tree { kind: Kind::Minus, place, arguments: vec![tree] })
    };
    // Looked at before it is taken: what is no sign fails where it stands.
    let sign = dispatch! {peek(any);
        '-' => any.value(Prefix(9, minus as fn(&mut Input, Tree) -> winnow::Result<Tree>)),
        '+' => any.value(Prefix(9, (|_, tree| Ok(tree)) as fn(&mut Input, Tree) -> winnow::Result<Tree>)),
        _ => fail,
    };
    let between = dispatch! {any;
        '+' => winnow::combinator::empty.value(Infix::Left(5, |_, a, b| Ok(join(Add, a, b)))),
        '-' => winnow::combinator::empty.value(Infix::Left(5, |_, a, b| Ok(join(Subtract, a, b)))),
        '/' => winnow::combinator::empty.value(Infix::Left(7, |_, a, b| Ok(join(Divide, a, b)))),
        '^' => winnow::combinator::empty.value(Infix::Right(11, |_, a, b| Ok(join(Power, a, b)))),
        '*' => opt('*').map(|second: Option<char>| match second {
            Some(_) => Infix::Right(11, (|_, a, b| Ok(join(Power, a, b))) as fn(&mut Input, Tree, Tree) -> winnow::Result<Tree>),
            None => Infix::Left(7, |_, a, b| Ok(join(Multiply, a, b))),
        }),
        _ => fail,
    };
    expression(operand).prefix(preceded(spaces, sign)).infix(preceded(spaces, between)).parse_next(input)
}

/// A number, a name, a function or a bracket. What it is shows in its first character, so that what fails fails there.
fn operand(input: &mut Input) -> winnow::Result<Tree> {
    spaces(input)?;
    match peek(any).parse_next(input)? {
        '(' => {
            let (mut tree, place) = (move |input: &mut Input| {
                '('.parse_next(input)?;
                let tree = sum(input)?;
                closed(input)?;
                Ok(tree)
            })
            .with_span()
            .parse_next(input)?;
            tree.place = place;
            Ok(tree)
        }
        '0'..='9' | '.' => number(input),
        '`' => {
            let quoted = |input: &mut Input| {
                '`'.parse_next(input)?;
                let name: &str = take_till(1.., '`').parse_next(input)?;
                '`'.parse_next(input)?;
                indexed(name, input)
            };
            let (kind, place) = quoted.with_span().parse_next(input)?;
            Ok(Tree::leaf(kind, place))
        }
        c if (c.is_alphabetic() && is_of_name(c)) || c == '_' => named(input),
        _ => fail.parse_next(input),
    }
}

fn closed(input: &mut Input) -> winnow::Result<()> {
    spaces(input)?;
    ')'.void().parse_next(input)
}

/// Digits, a point, and an exponent: 0.5, 1e-3, 6e9.
fn number(input: &mut Input) -> winnow::Result<Tree> {
    let digits = |input: &mut Input| -> winnow::Result<()> {
        take_while(1.., |c: char| c.is_ascii_digit() || c == '.').void().parse_next(input)?;
        let exponent =
            (winnow::token::one_of(['e', 'E']), opt(winnow::token::one_of(['+', '-'])), take_while(1.., '0'..='9'));
        opt(exponent).void().parse_next(input)
    };
    let (value, place): (f64, _) = digits.take().parse_to().with_span().parse_next(input)?;
    Ok(Tree::leaf(Kind::Number(value), place))
}

/// A name alone, with an index, or with arguments.
fn named(input: &mut Input) -> winnow::Result<Tree> {
    let whole = |input: &mut Input| {
        let name: &str = take_while(1.., is_of_name).parse_next(input)?;
        if opt('(').parse_next(input)?.is_none() {
            return Ok((indexed(name, input)?, Vec::new()));
        }
        let mut arguments = vec![sum(input)?];
        loop {
            spaces(input)?;
            if opt(',').parse_next(input)?.is_none() {
                break;
            }
            arguments.push(sum(input)?);
        }
        closed(input)?;
        Ok((Kind::Call(name.to_owned()), arguments))
    };
    let ((kind, arguments), place) = whole.with_span().parse_next(input)?;
    Ok(Tree { kind, place, arguments })
}

/// The index of a name, where one follows: `{optimizer}`.
fn indexed(name: &str, input: &mut Input) -> winnow::Result<Kind> {
    let index = opt('{').parse_next(input)?.is_some().then(|| -> winnow::Result<String> {
        spaces(input)?;
        let quoted = ('`', take_till(1.., '`'), '`').map(|(_, name, _): (_, &str, _)| name);
        let index: &str = alt((quoted, take_till(1.., '}'))).parse_next(input)?;
        spaces(input)?;
        '}'.parse_next(input)?;
        Ok(index.trim().to_owned())
    });
    Ok(Kind::Name { name: name.to_owned(), index: index.transpose()? })
}
