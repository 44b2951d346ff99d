//! Text on a canvas: escaping, wrapping, numbers.

/// Escapes text for SVG and HTML, in elements and in quoted attributes. Control characters, which XML forbids even as
/// references, become the replacement character.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Width of text in user units, on the safe side: fonts differ from reader to reader.
pub fn width(text: &str, size: f64) -> f64 {
    0.57 * size * text.chars().count() as f64
}

/// Breaks text into lines of at most `room` units, and a word that is longer than a line wherever a line ends.
pub fn wrap(text: &str, size: f64, room: f64) -> Vec<String> {
    let longest = (room / width(" ", size)).max(1.0) as usize;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(longest).map(|piece| piece.iter().collect::<String>()) {
            match lines.last_mut() {
                Some(line) if line.is_empty() => *line = piece,
                Some(line) if line.chars().count() + 1 + piece.chars().count() <= longest => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines
}

/// A coordinate with at most two decimals.
pub fn px(x: f64) -> String {
    let text = format!("{x:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_loses_its_teeth() {
        assert_eq!(escape("\"><svg onload='x'>&\u{0}"), "&quot;&gt;&lt;svg onload=&#39;x&#39;&gt;&amp;\u{fffd}");
    }

    #[test]
    fn wrapping_keeps_every_word() {
        let text = "the least loss lies at the edge of the sizes trained";
        let lines = wrap(text, 12.0, 120.0);
        assert!(lines.len() > 2);
        assert_eq!(lines.join(" "), text);
        assert!(lines.iter().all(|line| width(line, 12.0) <= 120.0));
        assert_eq!(wrap("a longword", 10.0, 25.0), ["a", "long", "word"]);
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!(px(12.0), "12");
        assert_eq!(px(12.346), "12.35");
        assert_eq!(px(-0.001), "0");
    }
}
