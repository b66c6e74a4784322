//! `csv`, `tsv`, `ssv`, `separatedValues`: RFC 4180 with the details of Gatling: column names are
//! trimmed, values are not; blank lines and a byte order mark are skipped; a quote counts at the
//! beginning of a field only; fields beyond the columns are dropped, missing ones set nothing.

use std::io::{self, Read};

use super::files::{invalid, invalid_at, unreadable};
use super::rows::{Rows, TableBuilder};
use crate::shard::Problem;

/// Most columns of a file.
const COLUMNS_MAX: usize = 10_000;

pub(super) fn read(
    input: Box<dyn Read>,
    path: &str,
    separator: char,
    quote: char,
    headers: &[String],
) -> Result<Rows, Problem> {
    let ascii = |char: char, what: &str| {
        u8::try_from(char).ok().filter(u8::is_ascii).ok_or_else(|| {
            invalid(path, format!("{path}: the {what} '{char}' is not an ASCII character"))
        })
    };
    let (separator, quote) = (ascii(separator, "separator")?, ascii(quote, "quote")?);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .quote(quote)
        .from_reader(Watch::new(input, separator, quote));
    let mut line = csv::StringRecord::new();
    if headers.is_empty() {
        if !reader.read_record(&mut line).map_err(|error| describe(path, &error))? {
            let message = format!("{path} is empty: its first row must name the columns");
            return Err(invalid(path, message));
        }
    } else {
        line.extend(headers);
    }
    let columns: Vec<std::sync::Arc<str>> =
        line.iter().map(|name| name.trim_start_matches('\u{feff}').trim().into()).collect();
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
    while reader.read_record(&mut line).map_err(|error| describe(path, &error))? {
        for column in 0..columns.len() {
            table.push(line.get(column));
        }
        records += 1;
        if records > u64::from(u32::MAX) {
            return Err(invalid(path, format!("{path} has more than {} records", u32::MAX)));
        }
    }
    if let Some((line, column)) = reader.get_ref().open_quote() {
        return Err(invalid_at(
            path,
            line,
            Some(column),
            format!(
                "{path}: the quote opened in line {line}, column {column} is never closed: \
                 close it, or double it if it is part of the value"
            ),
        ));
    }
    Ok(table.finish(columns))
}

fn describe(path: &str, error: &csv::Error) -> Problem {
    match error.kind() {
        csv::ErrorKind::Utf8 { pos, err } => {
            let row = pos.as_ref().map_or(0, csv::Position::line);
            let field = err.field() as u64 + 1;
            invalid_at(
                path,
                row,
                Some(field),
                format!("{path}: line {row}, field {field} is not UTF-8: save the file as UTF-8"),
            )
        }
        _ => unreadable(path, &error.to_string()),
    }
}

/// Follows the quotes on the way through, because the parser takes an unclosed one for a value that
/// reaches to the end of the file.
struct Watch {
    input: Box<dyn Read>,
    separator: u8,
    quote: u8,
    state: Inside,
    line: u64,
    column: u64,
    opened: (u64, u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end, or the first of two.
    Closing,
}

impl Watch {
    fn new(input: Box<dyn Read>, separator: u8, quote: u8) -> Self {
        let state = Inside::FieldStart;
        Self { input, separator, quote, state, line: 1, column: 0, opened: (0, 0) }
    }

    fn open_quote(&self) -> Option<(u64, u64)> {
        (self.state == Inside::Quoted).then_some(self.opened)
    }

    fn see(&mut self, byte: u8) {
        self.column += 1;
        let quote = byte == self.quote;
        self.state = match self.state {
            Inside::Quoted if quote => Inside::Closing,
            Inside::Quoted => Inside::Quoted,
            Inside::Closing if quote => Inside::Quoted,
            Inside::FieldStart if quote => {
                self.opened = (self.line, self.column);
                Inside::Quoted
            }
            _ if byte == self.separator || byte == b'\n' || byte == b'\r' => Inside::FieldStart,
            // The byte order mark is no part of the first field.
            Inside::FieldStart if self.line == 1 && self.column <= 3 && byte >= 0x80 => {
                Inside::FieldStart
            }
            _ => Inside::Plain,
        };
        if byte == b'\n' {
            self.line += 1;
            self.column = 0;
        }
    }
}

impl Read for Watch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        for &byte in &buffer[..read] {
            self.see(byte);
        }
        Ok(read)
    }
}
