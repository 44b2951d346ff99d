//! Tables and text for a terminal: columns that have no room are left out and named, no cell is broken over lines, and
//! long sentences are folded at words.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use unicode_width::UnicodeWidthStr as _;

/// The least room beside the other cells in which the last column's sentences are folded; with less they stand below.
const LEAST_PROSE: usize = 40;
/// Spaces between two columns.
const GAP: usize = 2;

/// How wide a line may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room(Option<usize>);

impl Room {
    /// No limit where everything is wanted or nobody sees a terminal; COLUMNS, where it is set, tells instead.
    pub fn of(wide: bool) -> Self {
        let told = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
        let terminal = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        let seen = || if io::stdout().is_terminal() { terminal() } else { None };
        Self(if wide { None } else { told().or_else(seen) })
    }

    /// So many columns.
    #[cfg(test)]
    pub const fn columns(width: usize) -> Self {
        Self(Some(width))
    }

    /// Text with its long lines folded at words; what follows is indented as the line is, and two more.
    pub fn fold(self, text: &str) -> String {
        let Some(width) = self.0 else { return text.to_owned() };
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            if length(line) <= width {
                out += line;
            } else {
                let indent = line.len() - line.trim_start().len();
                out += &folded(line.trim_start(), width, indent, indent + 2);
            }
            out += end;
        }
        out
    }
}

/// Words in lines of at most this width, the first and the others indented; a word that is longer has a line of its own.
pub fn folded(text: &str, width: usize, first: usize, others: usize) -> String {
    let (mut out, mut used) = (" ".repeat(first), first);
    for (at, word) in text.split(' ').enumerate() {
        let long = length(word);
        if at > 0 && used + 1 + long > width {
            out += "\n";
            out += &" ".repeat(others);
            used = others;
        } else if at > 0 {
            out.push(' ');
            used += 1;
        }
        out += word;
        used += long;
    }
    out
}

/// Columns of the terminal that a text takes.
fn length(text: &str) -> usize {
    text.width()
}

/// What a column is worth where room is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Always shown.
    Must,
    /// Shown where there is room, those of a lower number first.
    More(u8),
    /// Always shown, shortened where there is no room.
    Short,
}

/// A table.
pub struct Sheet {
    header: Vec<String>,
    worths: Vec<Worth>,
    titled: bool,
    numbers_from: Option<usize>,
    prose: bool,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// With these columns.
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = (N, Worth)>) -> Self {
        let (header, worths) = columns.into_iter().map(|(name, worth)| (name.into(), worth)).unzip();
        Self { header, worths, titled: true, numbers_from: None, prose: false, rows: Vec::new() }
    }

    /// Names and their values, without a header.
    pub fn pairs() -> Self {
        Self { titled: false, ..Self::new([("", Worth::Must), ("", Worth::Must)]) }.with_prose()
    }

    /// Columns of numbers, set right, from this one on.
    pub fn numbers_from(self, column: usize) -> Self {
        Self { numbers_from: Some(column), ..self }
    }

    /// The last column holds sentences, which may be folded.
    pub fn with_prose(self) -> Self {
        Self { prose: true, ..self }
    }

    /// Adds a row; cells that are missing at its end are empty.
    pub fn add_row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
    }

    /// As text that ends in a newline.
    pub fn text(&self, room: Room) -> String {
        let columns = self.header.len() - usize::from(self.prose);
        let (shown, gone) = self.choose(columns, room);
        let used: usize = shown.iter().map(|column| self.width(*column) + GAP).sum();
        let prose = self.prose.then_some(columns);
        let beside = prose.is_none_or(|last| match room.0 {
            None => true,
            Some(width) => used + self.width(last) <= width || used + LEAST_PROSE <= width,
        });
        let mut text = if beside {
            let shown: Vec<usize> = shown.into_iter().chain(prose).collect();
            self.draw(&shown, room)
        } else {
            self.with_prose_below(&shown, room)
        };
        if !gone.is_empty() {
            let names: Vec<&str> = gone.iter().map(|column| self.header[*column].as_str()).collect();
            let _ = writeln!(text, "{}", room.fold(&format!("no room for: {} (--wide shows them)", names.join(", "))));
        }
        text
    }

    /// The columns that are shown, and those that are not.
    fn choose(&self, columns: usize, room: Room) -> (Vec<usize>, Vec<usize>) {
        let all: Vec<usize> = (0..columns).collect();
        let Some(width) = room.0 else { return (all, Vec::new()) };
        let rank = |column: &usize| match self.worths[*column] {
            Worth::Must | Worth::Short => 0,
            Worth::More(rank) => rank.max(1),
        };
        let mut order = all.clone();
        order.sort_by_key(rank);
        let mut used = 0;
        let (mut shown, mut gone): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|column| {
            let with = used + if used == 0 { 0 } else { GAP } + self.width(*column);
            let fits = rank(column) == 0 || with <= width;
            used = if fits { with } else { used };
            fits
        });
        shown.sort_unstable();
        gone.sort_unstable();
        (shown, gone)
    }

    /// The longest line of a column.
    fn width(&self, column: usize) -> usize {
        let title = if self.titled { length(&self.header[column]) } else { 0 };
        let cells = self.rows.iter().flat_map(|row| row[column].lines().map(length));
        cells.max().unwrap_or_default().max(title)
    }

    fn draw(&self, shown: &[usize], room: Room) -> String {
        let mut widths: Vec<usize> = shown.iter().map(|column| self.width(*column)).collect();
        if let Some(width) = room.0 {
            self.squeeze(&mut widths, shown, width);
        }
        let header = self.titled.then_some(&self.header);
        let mut text = String::new();
        for row in header.into_iter().chain(&self.rows) {
            let cells: Vec<String> =
                shown.iter().zip(&widths).map(|(column, width)| self.cell(*column, &row[*column], *width)).collect();
            // Sentences take several lines, beside which the other columns are empty.
            for at in 0..cells.iter().map(|cell| cell.lines().count()).max().unwrap_or_default() {
                let of = |cell: &String| cell.lines().nth(at).unwrap_or_default().to_owned();
                text += self.line(shown, &widths, cells.iter().map(of)).trim_end();
                text.push('\n');
            }
        }
        text
    }

    /// One line of a row, each cell filled up to its column's width.
    fn line(&self, shown: &[usize], widths: &[usize], cells: impl Iterator<Item = String>) -> String {
        let mut line = String::new();
        for ((cell, column), width) in cells.zip(shown).zip(widths) {
            let fill = " ".repeat(width.saturating_sub(length(&cell)));
            let right = self.numbers_from.is_some_and(|first| *column >= first);
            line += &if right { fill + &cell } else { cell + &fill };
            line += &" ".repeat(GAP);
        }
        line
    }

    /// Takes room from the columns that may be shortened, and from the sentences.
    fn squeeze(&self, widths: &mut [usize], shown: &[usize], width: usize) {
        let elastic =
            |at: &usize| self.worths[shown[*at]] == Worth::Short || (self.prose && shown[*at] + 1 == self.header.len());
        let soft: Vec<usize> = (0..shown.len()).filter(elastic).collect();
        let gaps = GAP * shown.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            // The widest first, so that short cells stay whole.
            let Some(widest) = soft.iter().copied().max_by_key(|at| widths[*at]).filter(|at| widths[*at] > 8) else {
                return;
            };
            widths[widest] -= 1;
        }
    }

    /// A cell in its column's room: folded where it is of sentences, else cut.
    fn cell(&self, column: usize, text: &str, width: usize) -> String {
        if length(text) <= width {
            text.to_owned()
        } else if self.prose && column + 1 == self.header.len() {
            text.lines().map(|line| folded(line, width, 0, 0)).collect::<Vec<_>>().join("\n")
        } else if self.worths[column] == Worth::Short {
            text.chars().take(width.saturating_sub(3)).chain("...".chars()).collect()
        } else {
            text.to_owned()
        }
    }

    /// Each row with its sentences below it.
    fn with_prose_below(&self, shown: &[usize], room: Room) -> String {
        let drawn = self.draw(shown, room);
        let mut lines = drawn.lines();
        let mut text = String::new();
        if self.titled {
            text += lines.next().unwrap_or_default();
            text.push('\n');
        }
        for (line, row) in lines.zip(&self.rows) {
            let _ = writeln!(text, "{line}");
            for sentence in row.last().into_iter().flat_map(|prose| prose.lines()) {
                let _ = writeln!(text, "{}", room.fold(&format!("    {sentence}")));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new([("name", Worth::Must), ("size", Worth::More(2)), ("loss", Worth::More(1))]);
        sheet.add_row(["first", "123456789", "3.25"]);
        sheet.add_row(["second"]);
        sheet
    }

    #[test]
    fn columns_without_room_are_left_out_by_their_rank_and_named() {
        let whole = "name    size       loss\nfirst   123456789  3.25\nsecond\n";
        assert_eq!(sheet().text(Room(None)), whole);
        assert_eq!(sheet().text(Room::columns(23)), whole);
        let narrow = sheet().text(Room::columns(22));
        assert!(narrow.starts_with("name    loss\nfirst   3.25\nsecond\n"), "{narrow}");
        let said: Vec<&str> = narrow.split_whitespace().skip(5).collect();
        assert_eq!(said.join(" "), "no room for: size (--wide shows them)");
        assert!(sheet().text(Room::columns(8)).starts_with("name\nfirst\nsecond\n"));
    }

    #[test]
    fn sentences_are_folded_beside_short_cells_and_stand_below_long_ones() {
        let long = "one two three four five six seven eight nine ten eleven twelve";
        let mut pairs = Sheet::pairs();
        pairs.add_row(["a", long]);
        let text = pairs.text(Room::columns(50));
        assert_eq!(text, "a  one two three four five six seven eight nine\n   ten eleven twelve\n");
        let mut sheet = Sheet::new([("a rather long name", Worth::Must), ("said", Worth::Must)]).with_prose();
        sheet.add_row(["x", long]);
        let text = sheet.text(Room::columns(40));
        assert!(text.lines().all(|line| length(line) <= 40), "{text}");
        assert!(text.contains("\n    one two three four five six seven\n"), "{text}");
    }

    #[test]
    fn cells_that_may_be_shortened_are_and_numbers_stand_right() {
        let mut sheet = Sheet::new([("key", Worth::Must), ("a", Worth::Short), ("n", Worth::Must)]).numbers_from(2);
        sheet.add_row(["k", "0123456789abcdef", "1"]);
        sheet.add_row(["k", "01", "22"]);
        assert_eq!(sheet.text(Room::columns(20)), "key  a             n\nk    01234567...   1\nk    01           22\n");
    }

    #[test]
    fn text_is_folded_at_words_and_a_word_longer_than_the_line_stays_whole() {
        assert_eq!(Room::columns(10).fold("  aaa bbb ccc\nok\n"), "  aaa bbb\n    ccc\nok\n");
        assert_eq!(Room::columns(4).fold("abcdefgh"), "abcdefgh");
        assert_eq!(Room(None).fold("a b"), "a b");
        assert_eq!(folded("one two three fourteen", 9, 0, 0), "one two\nthree\nfourteen");
        assert_eq!(folded("one two three", 7, 0, 0), "one two\nthree");
        // What a character takes of the terminal counts.
        assert_eq!(folded("損失 損失 3.2", 9, 0, 0), "損失 損失\n3.2");
        assert_eq!(folded("損失 損失 3.2", 8, 0, 0), "損失\n損失 3.2");
        assert_eq!(folded("", 5, 0, 0), "");
    }
}
