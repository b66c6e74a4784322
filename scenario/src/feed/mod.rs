//! Feeders: where records come from, and which user gets which one. The sources are read once, when
//! the program is loaded; handing out a record takes an atomic counter and no lock.
//!
//! Record number r of the whole job belongs to segment r mod S, for all strategies: `queue` hands
//! out the file in order, `shuffle` a permutation drawn from the job's seed, `random` a draw by
//! (seed, r), `circular` counts r on through the rounds. So the shards together hand out what a
//! single node would, and a feeder shorter than the number of shards starves none of them.
//! Semantics: <https://docs.gatling.io/concepts/session/feeders/>.

mod division;
pub mod files;
mod json;
mod rows;
mod separated;
mod sitemap;
mod unzip;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use division::{Division, Refused};
pub use files::Files;
use rows::Rows;

use crate::expr::{EvalCtx, HookArgs, HookOutcome};
use crate::inject::division::Segments;
use crate::session::Session;
use crate::shard::Problem;
use crate::value::{Value, ValueMap};
use crate::vu::Fault;

/// Most records that one `feed(feeder, n)` may take.
pub const RECORDS_PER_FEED_MAX: i64 = 1_000_000;

/// One feeder of the simulation. The builder object is the identity: two `feed` steps that use the
/// same object share its records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeederSpec {
    pub source: FeederSource,
    #[serde(default)]
    pub strategy: Strategy,
    /// `unzip()`: the file is a gzip or zip of one entry.
    #[serde(default)]
    pub unzip: bool,
    /// `transform((name, value) => …)`: called with the pair, in `args` order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<crate::expr::FnId>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeederSource {
    /// csv, tsv, ssv and separatedValues.
    Separated {
        path: String,
        separator: char,
        quote: char,
        /// `headers(…)`: the columns of a file whose first row is a record.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<String>,
    },
    /// A JSON file: an array of objects.
    Json { path: String },
    /// A JSON document that each shard fetches when it loads.
    JsonUrl { url: String },
    /// A sitemap: a record for each `<url>`, of its child elements.
    Sitemap { path: String },
    /// `arrayFeeder`.
    Records(Vec<ValueMap>),
    /// A generator or iterator of the script: called with the record's number, gives the record, or
    /// null at the end.
    Script { function: crate::expr::FnId },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    #[default]
    Queue,
    Random,
    Shuffle,
    Circular,
}

impl FeederSource {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Separated { path, separator: ',', .. } => format!("csv({path})"),
            Self::Separated { path, separator: '\t', .. } => format!("tsv({path})"),
            Self::Separated { path, separator: ';', .. } => format!("ssv({path})"),
            Self::Separated { path, .. } => format!("separatedValues({path})"),
            Self::Json { path } => format!("json({path})"),
            Self::Sitemap { path } => format!("sitemap({path})"),
            Self::JsonUrl { url } => format!("jsonUrl({url})"),
            Self::Records(_) => "in-memory".to_owned(),
            Self::Script { .. } => "iterator".to_owned(),
        }
    }
}

/// All but the first two end the whole run: Gatling's `Feeder … crashed: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The user is to ask again: see [`division`].
    #[error("the next record is not reserved yet")]
    NotYet,
    /// The user ends: the shard has given its segments away.
    #[error("its records were given away")]
    GivenAway,
    #[error("Feeder {0} crashed: feeder is now empty.")]
    Empty(String),
    #[error("Feeder {feeder} crashed: {count} is not a valid number of records.")]
    Count { feeder: String, count: i64 },
    #[error("Feeder {feeder} crashed: {message}")]
    Transform { feeder: String, message: String },
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NotYet => Self::NotYet,
            Error::GivenAway => Self::GivenAway,
            other => Self::Crash(other.to_string()),
        }
    }
}

/// The records of one feeder and this shard's place in them.
pub struct Feeder {
    name: String,
    rows: Rows,
    len: u64,
    strategy: Strategy,
    transform: Option<crate::expr::FnId>,
    /// Where the script makes the records.
    script: Option<crate::expr::FnId>,
    division: Division,
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder")
            .field("name", &self.name)
            .field("records", &self.rows.len())
            .field("strategy", &self.strategy)
            .field("division", &self.division)
            .finish_non_exhaustive()
    }
}

impl Feeder {
    /// Reads the source, owning all records.
    ///
    /// # Errors
    /// A missing or malformed file, with file, line, column and what would be right.
    pub fn load(spec: &FeederSpec, files: &dyn Files) -> Result<Self, Problem> {
        let name = spec.source.name();
        let rows = match &spec.source {
            FeederSource::Separated { path, separator, quote, headers } => {
                let input = files::open(files, path, spec.unzip)?;
                separated::read(input, path, *separator, *quote, headers)?
            }
            FeederSource::JsonUrl { url } => {
                let content = files.fetch(url).map_err(|error| files::unreadable(url, &error))?;
                json::read(Box::new(std::io::Cursor::new(content)), url)?
            }
            FeederSource::Script { .. } => Rows::records(std::iter::empty()),
            FeederSource::Json { path } => json::read(files::open(files, path, spec.unzip)?, path)?,
            FeederSource::Sitemap { path } => {
                sitemap::read(files::open(files, path, spec.unzip)?, path)?
            }
            FeederSource::Records(records) => Rows::records(records.iter().cloned()),
        };
        let script = match spec.source {
            FeederSource::Script { function } => Some(function),
            _ => None,
        };
        if script.is_some() && spec.strategy != Strategy::Queue {
            return Err(files::invalid(&name, format!("{name}: its records come in order only")));
        }
        // A file of none is an error for the user that needs one, a list in the script at once.
        if rows.len() == 0 && matches!(spec.source, FeederSource::Records(_)) {
            return Err(files::invalid(&name, format!("{name} has no records")));
        }
        let (strategy, transform) = (spec.strategy, spec.transform);
        // An iterator may go on for ever.
        let len = if script.is_some() { u64::MAX } else { rows.len() };
        let division = Division::new(strategy, len, &Segments::all(), 0);
        Ok(Self { name, rows, len, strategy, transform, script, division })
    }

    /// Restricts the feeder to a shard's records. `index` is the feeder's in the simulation, so
    /// that two feeders of one job draw differently.
    #[must_use]
    pub fn divided(mut self, segments: &Segments, seed: u64, index: u32) -> Self {
        let seed = division::mix(seed, u64::from(index));
        self.division = Division::new(self.strategy, self.len, segments, seed);
        self
    }

    /// As error texts name it: `csv(users.csv)`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of records of the source, not of this shard's part.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.rows.len()
    }

    /// Which of its records come next.
    pub(crate) fn division(&self) -> &Division {
        &self.division
    }

    /// `feed(feeder)` (`count` none: plain values) and `feed(feeder, n)` (lists of n values, also
    /// for n = 1): puts the next record(s) of this shard into the session. Callable from several
    /// threads at once.
    ///
    /// # Errors
    /// Each of them crashes the run.
    pub fn feed(
        &self,
        count: Option<i64>,
        session: &mut Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<(), Error> {
        let Some(count) = count else {
            let record = self.take(1)?.next().ok_or_else(|| self.empty())?;
            for (name, value) in self.record(record, session, ctx)? {
                let value = self.transformed(&name, value, session, ctx)?;
                session.set(name, value);
            }
            return Ok(());
        };
        if !(1..=RECORDS_PER_FEED_MAX).contains(&count) {
            return Err(Error::Count { feeder: self.name.clone(), count });
        }
        let mut columns: Vec<(Arc<str>, Vec<Value>)> = Vec::new();
        for record in self.take(count.unsigned_abs())? {
            for (name, value) in self.record(record, session, ctx)? {
                let value = self.transformed(&name, value, session, ctx)?;
                match columns.iter_mut().find(|(column, _)| *column == name) {
                    Some((_, values)) => values.push(value),
                    None => columns.push((name, vec![value])),
                }
            }
        }
        for (name, values) in columns {
            session.set(name, Value::list(values));
        }
        Ok(())
    }

    /// The fields of a record, from memory or from the script.
    fn record(
        &self,
        number: u64,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Vec<(Arc<str>, Value)>, Error> {
        let Some(function) = self.script else {
            let fields = self.rows.record(number);
            return Ok(fields.map(|(name, value)| (Arc::clone(name), value)).collect());
        };
        let crash = |message| Error::Transform { feeder: self.name.clone(), message };
        let number = Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        match ctx.hooks.call(function, session, HookArgs::Value(&number)) {
            Ok(HookOutcome::Value(Value::Map(fields))) => {
                Ok(fields.iter().map(|(name, value)| (Arc::clone(name), value.clone())).collect())
            }
            Ok(HookOutcome::Value(Value::Null)) => Err(self.empty()),
            Ok(HookOutcome::Value(other)) => {
                Err(crash(format!("a record must be an object, found a {}", other.type_name())))
            }
            Ok(HookOutcome::Session(_)) => {
                Err(crash("a record must be an object, found a session".to_owned()))
            }
            Err(message) => Err(crash(message)),
        }
    }

    /// The indices of the next `count` records of this shard: all of them or none.
    fn take(&self, count: u64) -> Result<impl Iterator<Item = u64>, Error> {
        self.division.take(count).map_err(|refused| match refused {
            Refused::Empty => self.empty(),
            Refused::NotYet => Error::NotYet,
            Refused::GivenAway => Error::GivenAway,
        })
    }

    fn empty(&self) -> Error {
        Error::Empty(self.name.clone())
    }

    fn transformed(
        &self,
        name: &str,
        value: Value,
        session: &Session,
        ctx: &mut EvalCtx<'_>,
    ) -> Result<Value, Error> {
        let Some(function) = self.transform else { return Ok(value) };
        let crash = |message| Error::Transform { feeder: self.name.clone(), message };
        match ctx.hooks.call(function, session, HookArgs::NameAndValue(name, &value)) {
            Ok(HookOutcome::Value(value)) => Ok(value),
            Ok(HookOutcome::Session(_)) => {
                Err(crash("transform must return a value, not a session".to_owned()))
            }
            Err(message) => Err(crash(message)),
        }
    }
}

#[cfg(test)]
mod tests;
