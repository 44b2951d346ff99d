//! Commands in the README and in the recipes are commands of this program: each is read by its own parser.

use clap::Parser as _;
use runner::cli::Cli;
use runner::spec;

use crate::common::{QUICKSTART, repository};

/// Commands of the blocks of a page, without comments and redirections.
fn commands(page: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(repository().join(page)).unwrap();
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines = blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap().split(" > ").next().unwrap());
    let typed = lines.filter_map(|line| {
        let line = line.trim();
        let own = line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("runner "))?;
        Some(std::iter::once("runner").chain(own.split_whitespace()).map(str::to_owned).collect())
    });
    typed.collect()
}

#[test]
fn commands_in_the_readme_and_the_recipes_are_read_by_the_command_line() {
    for (page, least) in [("README.md", 7), ("docs/recipes.md", 40)] {
        let found = commands(page);
        assert!(found.len() >= least, "{page}: {found:?}");
        // Without a device there is no `bench`.
        for typed in found.into_iter().filter(|typed| cfg!(feature = "train") || typed[1] != "bench") {
            if let Err(error) = Cli::try_parse_from(&typed) {
                panic!("{page}: {}: {error}", typed.join(" "));
            }
        }
    }
}

#[test]
fn keys_that_the_recipes_set_are_keys_of_a_spec() {
    let found = commands("docs/recipes.md");
    let set: Vec<String> = found
        .iter()
        .flatten()
        .zip(found.iter().flatten().skip(1))
        .filter(|(flag, _)| *flag == "--set")
        .map(|(_, key)| key.clone())
        .collect();
    assert!(set.len() >= 3, "{set:?}");
    for key in set {
        let edited = spec::edit(QUICKSTART, std::slice::from_ref(&key)).unwrap();
        spec::parse(&edited, "spec.toml").unwrap_or_else(|error| panic!("{key}: {error}"));
    }
}

#[test]
fn the_recipes_are_eleven_and_the_readme_links_to_them() {
    let recipes = std::fs::read_to_string(repository().join("docs/recipes.md")).unwrap();
    let numbers: Vec<&str> = recipes.lines().filter_map(|line| line.strip_prefix("## ")?.split('.').next()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    assert!(std::fs::read_to_string(repository().join("README.md")).unwrap().contains("(docs/recipes.md)"));
}
