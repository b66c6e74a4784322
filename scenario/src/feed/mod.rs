//! Feeders: where records come from, and which user gets which one.

use serde::{Deserialize, Serialize};

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
