//! `onrush.summary/v1`: the machine-readable result of a run, and what the report is drawn from.

use serde::{Deserialize, Serialize};

/// The whole result of a run or job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Always `onrush.summary/v1`.
    pub schema: String,
}
