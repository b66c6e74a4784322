//! Paths of requests and groups as numbers: the hot path of a [`super::record::Recorder`].

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use super::record::{NAME_BYTES_MAX, OTHER, PATHS_MAX};

/// Interned paths: equal parts give the same number, without allocation once known.
#[derive(Default)]
pub(super) struct Paths {
    pub(super) parts: Vec<Vec<String>>,
    by_hash: FxHashMap<u64, SmallVec<[u32; 1]>>,
}

impl Paths {
    /// The path's number, and whether it is new (then a slot must be added for it).
    pub(super) fn intern(&mut self, groups: &[Arc<str>], name: Option<&str>) -> (u32, bool) {
        if let Some(known) = self.find(groups, name) {
            return (known, false);
        }
        if self.parts.len() < PATHS_MAX {
            return (self.add(groups, name), true);
        }
        match self.find(&[], Some(OTHER)) {
            Some(other) => (other, false),
            None => (self.add(&[], Some(OTHER)), true),
        }
    }

    fn hash(groups: &[Arc<str>], name: Option<&str>) -> u64 {
        let mut hasher = FxHasher::default();
        for part in parts(groups, name) {
            part.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn find(&self, groups: &[Arc<str>], name: Option<&str>) -> Option<u32> {
        let candidates = self.by_hash.get(&Self::hash(groups, name))?;
        candidates
            .iter()
            .copied()
            .find(|&id| self.parts[id as usize].iter().map(String::as_str).eq(parts(groups, name)))
    }

    fn add(&mut self, groups: &[Arc<str>], name: Option<&str>) -> u32 {
        let id = u32::try_from(self.parts.len()).expect("capped at PATHS_MAX + 1");
        self.parts.push(parts(groups, name).map(str::to_owned).collect());
        self.by_hash.entry(Self::hash(groups, name)).or_default().push(id);
        id
    }
}

fn parts<'a>(groups: &'a [Arc<str>], name: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    groups.iter().map(AsRef::as_ref).chain(name).map(|part| cut(part, NAME_BYTES_MAX))
}

/// The longest prefix of at most `max` bytes that ends at a character.
pub(super) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
