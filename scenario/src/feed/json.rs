//! `jsonFile`: an array of objects, read record by record.

use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{Deserializer as _, SeqAccess, Visitor};

use super::files::{invalid, invalid_at};
use super::rows::{Names, Rows};
use crate::shard::Problem;
use crate::value::Value;

struct Records;

impl<'de> Visitor<'de> for Records {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Rows, A::Error> {
        let mut names = Names::default();
        let mut records = Vec::new();
        while let Some(record) = sequence.next_element::<Value>()? {
            let Value::Map(record) = record else {
                return Err(serde::de::Error::custom(format!(
                    "record {} is of type {}, expected an array of objects",
                    records.len() + 1,
                    record.type_name()
                )));
            };
            records.push(names.share(std::sync::Arc::unwrap_or_clone(record)));
        }
        Ok(Rows::Records(records))
    }
}

pub(super) fn read(input: Box<dyn Read>, path: &str) -> Result<Rows, Problem> {
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
