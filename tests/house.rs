//! The shape of the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

type Name = Vec<String>;

/// Rooms, and what each uses.
type Rooms = BTreeMap<String, BTreeSet<String>>;

/// The modules of a program, one a file, by what they name of each other. Tests are left out.
#[derive(Default)]
struct Modules {
    named: BTreeMap<Name, Vec<Name>>,
    /// Names that a module hands on by `pub use`, and what they stand for.
    handed_on: BTreeMap<Name, BTreeMap<String, Name>>,
}

impl Modules {
    /// Of the files below a folder, by their paths.
    fn read(sources: &Path) -> Self {
        let mut modules = Self::default();
        for path in rust_files(sources) {
            let inside = path.strip_prefix(sources).unwrap().with_extension("");
            let mut name: Name = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            name.pop_if(|last| last == "mod");
            let is_test = name.iter().any(|part| ["tests", "testing"].contains(&part.as_str()));
            if !is_test && name != ["lib"] && name != ["main"] {
                modules.insert(&name, &fs::read_to_string(&path).unwrap());
            }
        }
        modules
    }

    fn insert(&mut self, name: &Name, text: &str) {
        let mut paths = Paths::default();
        paths.read(text.parse().unwrap());
        let absolute = |path: &Name| absolute(path, name);
        let handed_on = paths.handed_on.iter().filter_map(|path| Some((path.last()?.clone(), absolute(path)?)));
        self.handed_on.insert(name.clone(), handed_on.collect());
        self.named.insert(name.clone(), paths.named.iter().filter_map(absolute).collect());
    }

    /// The file in which a path ends, through whatever hands it on.
    fn home<'a>(&'a self, path: &'a [String]) -> Option<&'a Name> {
        let (name, rest) = (1..=path.len()).rev().find_map(|length| {
            let (name, _) = self.named.get_key_value(&path[..length])?;
            Some((name, &path[length..]))
        })?;
        let further = rest.first().and_then(|first| self.handed_on[name].get(first));
        further.filter(|further| !further.starts_with(path)).map_or(Some(name), |further| self.home(further))
    }

    /// The modules that a module uses. What it hands on it does not use.
    fn uses(&self, name: &Name) -> BTreeSet<&Name> {
        self.named[name].iter().filter_map(|path| self.home(path)).filter(|home| *home != name).collect()
    }

    /// The rooms of `src/` that each of them names. Here what is handed on counts: its reader needs both.
    fn rooms(&self) -> Rooms {
        let mut rooms = Rooms::new();
        for (name, paths) in &self.named {
            let own = &name[0];
            let others = paths.iter().chain(self.handed_on[name].values()).filter_map(|path| path.first());
            rooms.entry(own.clone()).or_default().extend(others.filter(|other| *other != own).cloned());
        }
        rooms
    }

    /// A way from a module back to itself, if there is one.
    fn circle(&self) -> Option<Vec<String>> {
        let mut done = BTreeSet::new();
        self.named.keys().find_map(|name| self.circle_from(name, &mut Vec::new(), &mut done))
    }

    fn circle_from<'a>(
        &'a self,
        name: &'a Name,
        way: &mut Vec<&'a Name>,
        done: &mut BTreeSet<&'a Name>,
    ) -> Option<Vec<String>> {
        if let Some(at) = way.iter().position(|before| *before == name) {
            return Some(way[at..].iter().chain([&name]).map(|name| name.join("::")).collect());
        }
        if done.contains(name) {
            return None;
        }
        way.push(name);
        let found = self.uses(name).into_iter().find_map(|next| self.circle_from(next, way, done));
        way.pop();
        done.insert(name);
        found
    }
}

/// A path of this program from its root; nothing for what belongs to another one.
fn absolute(path: &Name, module: &Name) -> Option<Name> {
    let above = path.iter().take_while(|part| *part == "super").count();
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([&module[..module.len() - above], &path[above..]].concat()),
        _ => None,
    }
}

/// The paths of a text that begin at `crate`, `self` or `super`, and those that it hands on.
#[derive(Default)]
struct Paths {
    named: Vec<Name>,
    handed_on: Vec<Name>,
    /// Modules that the text declares and does not hold.
    children: BTreeSet<String>,
}

impl Paths {
    /// Whether a path of a child begins here.
    fn is_child(&self, word: &str, tokens: &[TokenTree], at: usize) -> bool {
        let colons = (1..3).all(|next| tokens.get(at + next).is_some_and(|token| is(token, ':')));
        let begins = at == 0 || !(is(&tokens[at - 1], ':') || is(&tokens[at - 1], '.'));
        colons && begins && self.children.contains(word)
    }

    fn read(&mut self, text: TokenStream) {
        let tokens: Vec<TokenTree> = text.into_iter().collect();
        let word = |at: usize| match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => ident.to_string(),
            _ => String::new(),
        };
        let declared = |at: usize| word(at) == "mod" && tokens.get(at + 2).is_some_and(|end| is(end, ';'));
        self.children.extend((0..tokens.len()).filter(|at| declared(*at)).map(|at| word(at + 1)));
        let mut at = 0;
        while at < tokens.len() {
            match (&tokens[at], word(at).as_str()) {
                (_, "mod") if word(at + 1).contains("tests") => at += 3,
                // The path of a child may leave out where it begins, at its own beginning.
                (_, child) if self.is_child(child, &tokens, at) => {
                    let end = end(&tokens, at);
                    let own = |path: Name| [vec!["self".to_owned()], path].concat();
                    self.named.extend(tree(&tokens[at..end]).into_iter().map(own));
                    at = end;
                }
                (_, "pub") => {
                    at += 1;
                    // Where something may be seen is no use of the place.
                    at += usize::from(
                        matches!(&tokens[at], TokenTree::Group(g) if g.delimiter() == Delimiter::Parenthesis),
                    );
                    if word(at) == "use" {
                        let end = (at..tokens.len()).find(|at| is(&tokens[*at], ';')).unwrap();
                        // A path without a root is that of a child.
                        let own = |path: Name| match path[0].as_str() {
                            "crate" | "self" | "super" => path,
                            _ => [vec!["self".to_owned()], path].concat(),
                        };
                        self.handed_on.extend(tree(&tokens[at + 1..end]).into_iter().map(own));
                        at = end;
                    }
                }
                (_, "crate" | "self" | "super") => {
                    let end = end(&tokens, at);
                    self.named.extend(tree(&tokens[at..end]));
                    at = end;
                }
                (TokenTree::Group(group), _) => {
                    self.read(group.stream());
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }
}

/// Where the path ends that begins at a place.
fn end(tokens: &[TokenTree], begin: usize) -> usize {
    let goes_on = |at: usize| match &tokens[at] {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && is(&tokens[at - 1], ':'),
        TokenTree::Ident(_) => is(&tokens[at - 1], ':'),
        token => is(token, ':'),
    };
    (begin + 1..tokens.len()).find(|at| !goes_on(*at)).unwrap_or(tokens.len())
}

/// The paths of a tree such as `crate::{a, b::{c, d as e}}`.
fn tree(tokens: &[TokenTree]) -> Vec<Name> {
    let mut path = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) if ident == "as" => break,
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let branches = inner.split(|token| is(token, ',')).filter(|branch| !branch.is_empty());
                return branches.flat_map(tree).map(|branch| [path.clone(), branch].concat()).collect();
            }
            _ if is(token, ':') || at == 0 => {}
            _ => path.push("*".to_owned()),
        }
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if path.is_empty() { Vec::new() } else { vec![path] }
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| if path.is_dir() { rust_files(&path) } else { vec![path] };
    paths.flat_map(of).filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect()
}

fn modules(texts: &[(&str, &str)]) -> Modules {
    let mut modules = Modules::default();
    for (name, text) in texts {
        modules.insert(&name.split("::").map(str::to_owned).collect(), text);
    }
    modules
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let circle = Modules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).circle();
    assert_eq!(circle, None, "move what both need into a file below them");
}

/// The third column of the table in `src/lib.rs`, without what is said in brackets and after semicolons.
fn told_rooms(lib: &str) -> Rooms {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | "));
    let row = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let uses = cells[2].split(';').next().unwrap_or_default().split(',');
        let uses = uses.filter_map(|name| name.split_whitespace().next()).filter(|name| *name != "nothing");
        (cells[0].trim_matches(['[', ']', '`']).to_owned(), uses.map(str::to_owned).collect())
    };
    rows.skip(1).map(row).collect()
}

#[test]
fn the_table_of_modules_tells_what_each_uses() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut told = told_rooms(&fs::read_to_string(sources.join("lib.rs")).unwrap());
    let mut named = Modules::read(&sources).rooms();
    let everything = told.remove("commands");
    assert_eq!(everything, Some(BTreeSet::from(["everything".to_owned()])));
    named.remove("commands");
    assert_eq!(named, told);
}

#[test]
fn what_commands_share_knows_none_of_them() {
    let modules = Modules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let shared = ["commands", "shared"].map(str::to_owned);
    let inside = modules.named.keys().filter(|name| name.starts_with(&shared));
    let used: BTreeSet<&Name> = inside.flat_map(|name| modules.uses(name)).collect();
    assert!(used.len() > 10, "{used:?}");
    let mut commands = used.into_iter().filter(|name| name[0] == "commands" && name.len() > 1);
    assert_eq!(
        commands.find(|name| !name.starts_with(&shared)),
        None,
        "move it to what is shared, or its user out of it"
    );
}

#[test]
fn a_circle_of_modules_is_found_wherever_it_hides() {
    let circles: [&[(&str, &str)]; 8] = [
        &[("a", "use crate::b::B;"), ("b", "fn f() -> crate::a::A { todo!() }")],
        // Through macros, braces and several steps.
        &[
            ("a", "use crate::{b::{self as x}, c};"),
            ("b", "fn f() { panic!(\"{}\", super::c::g()) }"),
            ("c", "use super::a;"),
        ],
        // A child that uses its parent, which uses the child.
        &[("a", "mod b; use self::b::f; pub struct A;"), ("a::b", "use super::A; pub fn f() {}")],
        // Through a name that a third module hands on.
        &[("a", "use crate::c::B;"), ("b", "use crate::a::A;"), ("c", "pub use crate::b::B;")],
        &[("a", "pub(in crate::a) use crate::c::B as C; use crate::c::B;"), ("c", "use super::a::A;")],
        &[("a", "mod b; pub struct A; fn f() { b::g() }"), ("a::b", "use super::A; pub fn g() {}")],
        &[("a", "use b::g; fn f() -> g { 1 } mod b; struct A;"), ("a::b", "fn g(a: super::A) {}")],
        // What stands after tests.
        &[("a", "mod tests { } use crate::b;"), ("b", "use crate::a;")],
    ];
    for texts in circles {
        assert!(modules(texts).circle().is_some(), "{texts:?}");
    }
    let none: [&[(&str, &str)]; 3] = [
        // What a parent hands on of its children it does not use; nor what a comment or a test names.
        &[
            ("a", "mod b; pub use b::f; pub(in crate::c) fn g() {}"),
            ("a::b", "//! [`crate::c`]\nuse crate::c::d;"),
            ("c", ""),
        ],
        &[("a", "use crate::b::B;"), ("b", "mod tests { use crate::a::A; }")],
        // Two children of one parent, one of which uses the other through the parent.
        &[("a", "mod b; mod c; pub use b::B;"), ("a::b", ""), ("a::c", "use super::B;")],
    ];
    for texts in none {
        assert_eq!(modules(texts).circle(), None, "{texts:?}");
    }
}

#[test]
fn no_file_is_longer_than_a_reader_follows() {
    const LONGEST: usize = 600;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["src", "tests"].map(|folder| rust_files(&root.join(folder))).concat();
    let long: Vec<PathBuf> =
        files.into_iter().filter(|path| fs::read_to_string(path).unwrap().lines().count() > LONGEST).collect();
    assert!(long.is_empty(), "split into files with one subject each: {long:?}");
}

#[test]
fn every_path_on_the_page_of_the_architecture_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let paths: Vec<&str> =
        page.split('`').filter(|part| part.starts_with("src/") || part.starts_with("tests/")).collect();
    assert!(paths.len() > 30, "{paths:?}");
    let gone: Vec<&str> = paths.into_iter().filter(|path| !root.join(path).exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn tests_and_modules_are_where_the_pages_say_and_none_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let (tests, readme) = (read("tests/README.md"), read("README.md"));
    let tree = readme.split("## The tree").nth(1).unwrap();
    for entry in fs::read_dir(root.join("tests")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap() + if entry.path().is_dir() { "/" } else { "" };
        let told = tests.contains(&format!("`{name}`"));
        assert!(told || ["tests.rs", "README.md"].contains(&name.as_str()), "tests/README.md does not tell of {name}");
    }
    for entry in fs::read_dir(root.join("src")).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap() + "/";
        let told = tree.contains(&name) || root.join("src").join(name.replace('/', ".rs")).is_file();
        assert!(told, "the tree in README.md does not tell of src/{name}");
    }
}
