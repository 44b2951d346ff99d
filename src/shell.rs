//! Words as a shell takes them.

/// A word of a command.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    let is_plain = !word.is_empty() && word.chars().all(plain);
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A command of these words.
pub fn command(words: impl Iterator<Item = impl AsRef<str>>) -> String {
    words.map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_so_that_a_shell_takes_it_again() {
        let words = ["runner", "sweep", "my spec.toml", "--set", "sweep.seeds=[1, 2]", "it's", ""];
        assert_eq!(command(words.into_iter()), r"runner sweep 'my spec.toml' --set 'sweep.seeds=[1, 2]' 'it'\''s' ''");
    }
}
