//! `GlobalStore`: what the users of one shard share. One map for all engine threads; values are
//! copied in and out, so a script cannot change another's value behind its back.
//!
//! Loading runs the script on every thread; each fills a store of its own, and the first value wins
//! when they become one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::value::Value;

/// Keys of one store.
const KEYS_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
pub struct GlobalStore(Mutex<HashMap<String, Value>>);

impl GlobalStore {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what another holds, where this one has nothing.
    pub(super) fn adopt(&self, other: &Self) {
        if std::ptr::eq(self, other) {
            return;
        }
        let mut mine = self.lock();
        for (key, value) in other.lock().drain() {
            mine.entry(key).or_insert(value);
        }
    }
}

/// Null removes. Returns what was there.
///
/// # Errors
/// When there are too many keys.
pub(super) fn set(
    map: &mut HashMap<String, Value>,
    key: String,
    value: Value,
) -> Result<Option<Value>, String> {
    if value.is_null() {
        return Ok(map.remove(&key));
    }
    if map.len() >= KEYS_MAX && !map.contains_key(&key) {
        return Err(format!("the GlobalStore holds {KEYS_MAX} keys, which is its limit"));
    }
    Ok(map.insert(key, value))
}
