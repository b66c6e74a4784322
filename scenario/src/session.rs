//! The session of one virtual user: its attributes and status, as simulations see them.
//! Copy-on-write, so that handing a snapshot to a JavaScript lambda costs two reference counts.
//!
//! It holds no engine state: loops, groups' times and the block stack belong to `vu.rs`.
//! Semantics: <https://docs.gatling.io/concepts/session/api/>.

use std::fmt;
use std::sync::Arc;

use crate::value::Value;

type Attribute = (Arc<str>, Value);

/// What a virtual user carries from action to action.
#[derive(Clone, Debug)]
pub struct Session {
    /// The global number of the user in its scenario, the same whatever the number of shards. From 0.
    pub user_id: u64,
    pub scenario: Arc<str>,
    /// Names of the open groups, outermost first.
    pub groups: Arc<Vec<Arc<str>>>,
    attributes: Arc<Vec<Attribute>>,
    failed: bool,
    /// How often it was marked as failed: a group that is entered failed is KO only if that happens
    /// again inside.
    marks: u32,
}

impl Session {
    #[must_use]
    pub fn new(scenario: Arc<str>, user_id: u64) -> Self {
        Self {
            user_id,
            scenario,
            groups: Arc::default(),
            attributes: Arc::default(),
            failed: false,
            marks: 0,
        }
    }

    /// The user's number as simulations see it: from 1.
    #[must_use]
    pub fn shown_id(&self) -> u64 {
        self.user_id.saturating_add(1)
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        // Sessions hold a handful of attributes: a scan beats hashing.
        self.attributes.iter().find(|(name, _)| &**name == key).map(|(_, value)| value)
    }

    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub fn set(&mut self, key: impl AsRef<str> + Into<Arc<str>>, value: Value) {
        let attributes = Arc::make_mut(&mut self.attributes);
        match attributes.iter_mut().find(|(name, _)| **name == *key.as_ref()) {
            Some((_, slot)) => *slot = value,
            None => attributes.push((key.into(), value)),
        }
    }

    pub fn remove(&mut self, key: &str) {
        if self.contains(key) {
            Arc::make_mut(&mut self.attributes).retain(|(name, _)| &**name != key);
        }
    }

    /// Drops all attributes; the failed status stays.
    pub fn reset(&mut self) {
        self.attributes = Arc::default();
    }

    pub fn attributes(&self) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        self.attributes.iter().map(|(name, value)| (name, value))
    }

    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    pub fn mark_as_failed(&mut self) {
        self.failed = true;
        self.marks = self.marks.wrapping_add(1);
    }

    /// Whether it is failed, and was marked so since `before`.
    #[must_use]
    pub(crate) fn failed_since(&self, before: &Self) -> bool {
        self.failed && self.marks != before.marks
    }

    pub fn mark_as_succeeded(&mut self) {
        self.failed = false;
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, {}, Map(", self.scenario, self.shown_id())?;
        for (index, (name, value)) in self.attributes().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name} -> {value}")?;
        }
        write!(f, "), {})", if self.failed { "KO" } else { "OK" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_does_not_see_later_writes() {
        let mut session = Session::new("s".into(), 7);
        session.set("a", Value::Int(1));
        let before = session.clone();
        session.set("a", Value::Int(2));
        session.set("b", "x".into());
        assert_eq!(before.get("a"), Some(&Value::Int(1)));
        assert!(!before.contains("b"));
        session.remove("a");
        assert_eq!(session.to_string(), "Session(s, 8, Map(b -> x), OK)");
    }

    #[test]
    fn reset_keeps_the_failed_status() {
        let mut session = Session::new("s".into(), 1);
        session.set("a", Value::Null);
        session.mark_as_failed();
        session.reset();
        assert!(session.is_failed());
        assert!(!session.contains("a"));
    }
}
