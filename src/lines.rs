//! Lines of text files.

/// Lines that end as on Unix: after `\r\n` the csv crate counts a line too few.
pub fn unix(mut text: Vec<u8>) -> Vec<u8> {
    let mut kept = 0;
    // Looks one ahead: what was kept so far is no longer than what was read.
    for at in 0..text.len() {
        if !(text[at] == b'\r' && text.get(at + 1) == Some(&b'\n')) {
            text[kept] = text[at];
            kept += 1;
        }
    }
    text.truncate(kept);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_carriage_return_before_a_line_feed_goes() {
        assert_eq!(unix(b"a\r\nb\rc\n\r\r\n\r".to_vec()), b"a\nb\rc\n\r\n\r");
        assert_eq!(unix(Vec::new()), b"");
    }
}
