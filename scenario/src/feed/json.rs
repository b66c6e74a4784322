//! `jsonFile`: an array of objects, read record by record. The text is in UTF-8, or in what its first
//! bytes tell.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Cursor, Read};

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::files::{invalid, invalid_at, unreadable};
use super::rows::{Names, Rows};
use crate::shard::Problem;
use crate::value::{Value, json};

struct Records;

impl<'de> Visitor<'de> for Records {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Rows, A::Error> {
        let mut names = Names::default();
        let mut records = Vec::new();
        // By the reader of our own: the numbers of the other one end at 64 bits.
        while let Some(record) = sequence.next_element::<Box<RawValue>>()? {
            let wrong = |what: &str| {
                serde::de::Error::custom(format!("record {} is {what}", records.len() + 1))
            };
            let record = match json::parse(record.get()) {
                Ok(Value::Map(record)) => record,
                Ok(other) => {
                    let kind = other.type_name();
                    return Err(wrong(&format!("of type {kind}, expected an array of objects")));
                }
                Err(error) => return Err(wrong(&format!("no JSON: {error}"))),
            };
            records.push(names.share(std::sync::Arc::unwrap_or_clone(record)));
        }
        Ok(Rows::Records(records))
    }
}

/// The text in UTF-8, without a mark.
fn utf8(input: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let mut input = BufReader::new(input);
    let first = input.fill_buf()?;
    if first.starts_with(b"\xEF\xBB\xBF") {
        input.consume(3);
    } else if first.iter().take(4).any(|byte| matches!(byte, 0 | 0xFE | 0xFF)) {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        let text = json::text(&bytes).map_err(io::Error::other)?.into_owned();
        return Ok(Box::new(Cursor::new(text)));
    }
    Ok(Box::new(input))
}

pub(super) fn read(input: Box<dyn Read>, path: &str) -> Result<Rows, Problem> {
    let input = utf8(input).map_err(|error| unreadable(path, &error.to_string()))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(input));
    let rows = json.deserialize_seq(Records).and_then(|rows| json.end().map(|()| rows)).map_err(
        |error| {
            let (line, column) = (error.line() as u64, error.column() as u64);
            let message = format!("{path} is not a feeder: {error}");
            invalid_at(path, line, Some(column), message)
        },
    )?;
    if rows.len() > u64::from(u32::MAX) {
        return Err(invalid(path, format!("{path} has more than {} records", u32::MAX)));
    }
    Ok(rows)
}
