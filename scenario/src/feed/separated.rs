//! `csv`, `tsv`, `ssv`, `separatedValues`, read as the parser does that Gatling has for them: column
//! names are trimmed, values are not; lines without a value and a byte order mark are skipped;
//! fields beyond the columns are dropped, missing ones set nothing.
//!
//! A quote counts at the beginning of a cell only. Such a cell goes on behind its closing quote, up
//! to the separator: `"p"q` is `p"q`. Where another quote follows it is quoted again, and then every
//! second quote, not only the first of two, is left out: `"2345","3456"` in one cell is `2345,3456`.
//! What is left out is always [`ESCAPE`], whichever quote there is: `'a''b'` remains `a''b`.

use std::io::{self, BufRead as _, BufReader, Read};

use super::files::{invalid, invalid_at, unreadable};
use super::rows::{Rows, TableBuilder};
use crate::shard::Problem;

/// Most columns of a file.
const COLUMNS_MAX: usize = 10_000;
const BUFFER_BYTES: usize = 64 << 10;
/// Of Gatling's parser; only the quote can be chosen.
const ESCAPE: char = '"';

pub(super) fn read(
    input: Box<dyn Read>,
    path: &str,
    separator: char,
    quote: char,
    headers: &[String],
) -> Result<Rows, Problem> {
    let mut parser = Parser::new(input, path, separator, quote)?;
    let mut row = Row::default();
    let columns: Vec<std::sync::Arc<str>> = if headers.is_empty() {
        if !parser.row(&mut row)? {
            let message = format!("{path} is empty: its first row must name the columns");
            return Err(invalid(path, message));
        }
        row.cells().map(|name| trimmed(name).into()).collect()
    } else {
        headers.iter().map(|name| trimmed(name).into()).collect()
    };
    if columns.len() > COLUMNS_MAX {
        return Err(invalid(path, format!("{path} has more than {COLUMNS_MAX} columns")));
    }
    if let Some(unnamed) = columns.iter().position(|name| name.is_empty()) {
        return Err(invalid_at(
            path,
            1,
            Some(unnamed as u64 + 1),
            format!("{path}: column {} has no name in the first row", unnamed + 1),
        ));
    }
    let mut table = TableBuilder::default();
    let mut records: u64 = 0;
    while parser.row(&mut row)? {
        if row.is_blank() {
            continue;
        }
        for column in 0..columns.len() {
            table.push(row.cell(column));
        }
        records += 1;
        if records > u64::from(u32::MAX) {
            return Err(invalid(path, format!("{path} has more than {} records", u32::MAX)));
        }
    }
    Ok(table.finish(columns))
}

/// As Java trims: all up to the space, and nothing of Unicode's beyond.
fn trimmed(name: &str) -> &str {
    name.trim_matches(|letter| letter <= ' ')
}

/// The cells of one row; used again for the next.
#[derive(Default)]
struct Row {
    text: String,
    /// Where each cell ends in the text; it begins where the one before ends.
    ends: Vec<usize>,
}

impl Row {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn start(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn cell(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        self.text.get(start.unwrap_or(0)..end)
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|index| self.cell(index))
    }

    fn is_blank(&self) -> bool {
        self.ends.len() == 1 && self.text.is_empty()
    }
}

/// What the cell under way is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Nothing of it has come.
    Empty,
    Plain,
    /// It began with a quote, which is not in the row's text; the others are.
    Quoted {
        /// Between quotes, where separators and line ends are part of it.
        inside: bool,
        /// Something may be to be left out: another quote came behind a closing one, or an escape.
        escaped: bool,
    },
}

struct Parser<'p> {
    letters: Letters<'p>,
    separator: char,
    quote: char,
    /// The last row ended with a carriage return, to which a line feed belongs.
    after_return: bool,
}

impl<'p> Parser<'p> {
    fn new(
        input: Box<dyn Read>,
        path: &'p str,
        separator: char,
        quote: char,
    ) -> Result<Self, Problem> {
        let letters = Letters::new(input, path)?;
        Ok(Self { letters, separator, quote, after_return: false })
    }

    /// Reads the next row; whether there is one.
    fn row(&mut self, row: &mut Row) -> Result<bool, Problem> {
        row.clear();
        let mut cell = Cell::Empty;
        let mut opened = (0, 0);
        let mut after_separator = false;
        while let Some(letter) = self.letters.next()? {
            let belongs = std::mem::take(&mut self.after_return) && letter == '\n';
            if belongs {
                continue;
            }
            if let Cell::Quoted { inside: inside @ true, escaped } = &mut cell {
                *inside = letter != self.quote;
                *escaped |= *inside && letter == ESCAPE;
                row.text.push(letter);
                continue;
            }
            if letter == self.separator {
                self.end(row, cell);
                (cell, after_separator) = (Cell::Empty, true);
                self.letters.field += 1;
                continue;
            }
            if letter == '\n' || letter == '\r' {
                self.after_return = letter == '\r';
                self.end(row, cell);
                self.letters.field = 1;
                return Ok(true);
            }
            cell = match cell {
                Cell::Empty if letter == self.quote => {
                    opened = self.letters.place();
                    Cell::Quoted { inside: true, escaped: false }
                }
                Cell::Quoted { .. } if letter == self.quote => {
                    opened = self.letters.place();
                    row.text.push(letter);
                    Cell::Quoted { inside: true, escaped: true }
                }
                Cell::Quoted { .. } => {
                    row.text.push(letter);
                    cell
                }
                Cell::Empty | Cell::Plain => {
                    row.text.push(letter);
                    Cell::Plain
                }
            };
        }
        if let Cell::Quoted { inside: true, .. } = cell {
            return Err(self.unclosed(opened));
        }
        if cell != Cell::Empty || after_separator {
            self.end(row, cell);
        }
        Ok(!row.ends.is_empty())
    }

    /// The quote would make all the rest of the file one value.
    fn unclosed(&self, (line, column): (u64, u64)) -> Problem {
        let path = self.letters.path;
        invalid_at(
            path,
            line,
            Some(column),
            format!(
                "{path}: the quote opened in line {line}, column {column} is never closed: \
                 close it, or double it if it is part of the value"
            ),
        )
    }

    /// The cell is complete: without the quotes that are not part of its value.
    fn end(&self, row: &mut Row, cell: Cell) {
        if let Cell::Quoted { escaped, .. } = cell {
            let raw = row.text.split_off(row.start());
            if escaped {
                unescape(&raw, self.quote, &mut row.text);
            } else {
                row.text.push_str(raw.strip_suffix(self.quote).unwrap_or(&raw));
            }
        }
        row.ends.push(row.text.len());
    }
}

/// Leaves out an escape, keeps what follows whatever it is, and so on; the quote at the end is left
/// out too, unless it is kept. `raw` is the cell behind its first quote.
fn unescape(raw: &str, quote: char, out: &mut String) {
    let mut kept = false;
    let mut letters = raw.chars().peekable();
    while let Some(letter) = letters.next() {
        let leaves_out = if letters.peek().is_some() { letter == ESCAPE } else { letter == quote };
        if kept || !leaves_out {
            out.push(letter);
        }
        kept = leaves_out && !kept;
    }
}

/// The letters of a file in UTF-8, one by one, and where they are.
struct Letters<'p> {
    input: BufReader<Box<dyn Read>>,
    path: &'p str,
    line: u64,
    column: u64,
    /// From 1, for messages.
    field: u64,
}

impl<'p> Letters<'p> {
    fn new(input: Box<dyn Read>, path: &'p str) -> Result<Self, Problem> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut first = [0_u8; 3];
        let mut known = 0;
        // A mark may come in parts.
        while known < first.len() {
            let more = input.fill_buf().map_err(|error| unreadable(path, &error.to_string()))?;
            let Some(byte) = more.first().copied() else { break };
            first[known] = byte;
            known += 1;
            input.consume(1);
        }
        let start = match first.get(..known).unwrap_or_default() {
            [0xEF, 0xBB, 0xBF] => Vec::new(),
            [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => {
                let message = format!("{path} is UTF-16, by its mark: save the file as UTF-8");
                return Err(invalid(path, message));
            }
            start => start.to_vec(),
        };
        let whole: Box<dyn Read> = Box::new(io::Cursor::new(start).chain(input));
        let input = BufReader::with_capacity(BUFFER_BYTES, whole);
        Ok(Self { input, path, line: 1, column: 0, field: 1 })
    }

    /// Line and column of the letter that came last.
    fn place(&self) -> (u64, u64) {
        (self.line, self.column)
    }

    fn next(&mut self) -> Result<Option<char>, Problem> {
        let Some(first) = self.byte()? else { return Ok(None) };
        let letter = if first.is_ascii() { char::from(first) } else { self.wide(first)? };
        self.column += 1;
        if letter == '\n' {
            self.line += 1;
            self.column = 0;
        }
        Ok(Some(letter))
    }

    /// A letter of several bytes.
    #[cold]
    fn wide(&mut self, first: u8) -> Result<char, Problem> {
        let length = match first {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return Err(self.malformed()),
        };
        let mut bytes = [first, 0, 0, 0];
        for byte in bytes.iter_mut().take(length).skip(1) {
            *byte = self.byte()?.ok_or_else(|| self.malformed())?;
        }
        let text = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.and_then(|text| text.chars().next()).ok_or_else(|| self.malformed())
    }

    fn byte(&mut self) -> Result<Option<u8>, Problem> {
        let failed = |error: io::Error| unreadable(self.path, &error.to_string());
        let byte = self.input.fill_buf().map_err(failed)?.first().copied();
        if byte.is_some() {
            self.input.consume(1);
        }
        Ok(byte)
    }

    fn malformed(&self) -> Problem {
        let Self { path, line, field, .. } = self;
        invalid_at(
            path,
            *line,
            Some(*field),
            format!("{path}: line {line}, field {field} is not UTF-8: save the file as UTF-8"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let input: Box<dyn Read> = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let mut parser = Parser::new(input, "x.csv", ',', '"').unwrap();
        let (mut row, mut rows) = (Row::default(), Vec::new());
        while parser.row(&mut row).unwrap() {
            rows.push(row.cells().map(str::to_owned).collect());
        }
        rows
    }

    /// By the rules of the parser in Gatling 3.16.0, which was asked for most of them.
    #[test]
    fn quotes_mean_what_they_mean_to_gatlings_parser() {
        for (text, expected) in [
            (r#""p"q"#, r#"p"q"#),
            (r#"p"q"r"#, r#"p"q"r"#),
            (r#" "p""#, r#" "p""#),
            (r#""p" "#, r#"p" "#),
            (r#""""#, ""),
            (r#""""""#, "\""),
            (r#""a""b""#, "a\"b"),
            (r#""a""""b""#, "a\"\"b"),
            (r#""""a""""#, "\"a\""),
            (r#""2345";"3456""#, "2345;3456"),
            (r#""p"q"r"s"#, "pqrs"),
            (r#""p"""q"#, "p\"q"),
        ] {
            assert_eq!(cells(text), [[expected]], "{text}");
        }
        assert_eq!(cells("a,\"b\r\nc\",\n"), [["a", "b\r\nc", ""]]);
        assert_eq!(cells("\"p\"q\"x,y\n1\",2\r3,"), [vec!["pqx,y\n1", "2"], vec!["3", ""]]);
        assert_eq!(cells("\n\r\n\"\"\n\n\ra"), [[""], [""], [""], [""], [""], ["a"]]);
        assert_eq!(cells(""), Vec::<Vec<String>>::new());
    }
}
