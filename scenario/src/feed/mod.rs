//! Feeders: where records come from, and which user gets which one.

use std::io;

use serde::{Deserialize, Serialize};

use crate::expr::EvalCtx;
use crate::inject::division::Segments;
use crate::session::Session;
use crate::shard::Problem;
use crate::value::ValueMap;

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
    Separated { path: String, separator: char, quote: char },
    /// A JSON file: an array of objects.
    Json { path: String },
    /// `arrayFeeder`.
    Records(Vec<ValueMap>),
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

/// Where data files come from. Paths are relative to the simulation's folder, `/`-separated.
pub trait Files {
    /// Opens a file; none where there is no such file. Only called with paths that do not leave
    /// the folder by their spelling; following links out of it is the implementer's to refuse.
    ///
    /// # Errors
    /// What the operating system says of it.
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn io::Read>>>;
}

/// Both end the whole run: Gatling's `Feeder … crashed: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Feeder {0} crashed: feeder is now empty.")]
    Empty(String),
    #[error("Feeder {feeder} crashed: {count} is not a valid number of records.")]
    Count { feeder: String, count: i64 },
    #[error("Feeder {feeder} crashed: {message}")]
    Transform { feeder: String, message: String },
}

/// The records of one feeder and this shard's place in them.
#[derive(Debug)]
pub struct Feeder {
    name: String,
}

impl Feeder {
    /// Reads the source, owning all records.
    ///
    /// # Errors
    /// A missing or malformed file, with file, line, column and what would be right.
    pub fn load(_spec: &FeederSpec, _files: &dyn Files) -> Result<Self, Problem> {
        Ok(Self { name: String::new() })
    }

    /// Restricts the feeder to a shard's records. `index` is the feeder's in the simulation, so
    /// that two feeders of one job draw differently.
    #[must_use]
    pub fn divided(self, _segments: &Segments, _seed: u64, _index: u32) -> Self {
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
        0
    }

    /// The number of the next record that this shard will hand out, for frames.
    #[must_use]
    pub fn position(&self) -> u64 {
        0
    }

    /// Continues at record number `position` of the division.
    pub fn set_position(&self, _position: u64) {}

    /// `feed(feeder)` (`count` none: plain values) and `feed(feeder, n)` (lists of n values, also
    /// for n = 1): puts the next record(s) of this shard into the session. Callable from several
    /// threads at once.
    ///
    /// # Errors
    /// Each of them crashes the run.
    pub fn feed(
        &self,
        _count: Option<i64>,
        _session: &mut Session,
        _ctx: &mut EvalCtx<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }
}
