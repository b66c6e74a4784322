//! Records in memory. Tables share their columns' names; the cells of a small one are values ready
//! to be shared with sessions, those of a big one lie in a single text (about 8 bytes a cell beside
//! the text itself) and become values when they are handed out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::value::{Value, ValueMap};

/// Up to so many cells a table keeps values: about 100 bytes each.
const SHARED_CELLS_MAX: usize = 1_000_000;
/// Marks a cell that its line did not have.
const MISSING: u64 = 1 << 63;

type Fields = Box<[(Arc<str>, Value)]>;

pub(super) enum Rows {
    Table {
        columns: Box<[Arc<str>]>,
        cells: Cells,
    },
    /// Of JSON: each record has its own fields; names are shared.
    Records(Vec<Fields>),
}

pub(super) enum Cells {
    Shared(Vec<Option<Value>>),
    /// Where each cell ends in the text; it begins where the one before ends.
    Packed {
        text: String,
        ends: Vec<u64>,
    },
}

impl Rows {
    pub(super) fn records(records: impl Iterator<Item = ValueMap>) -> Self {
        let mut names = Names::default();
        Self::Records(records.map(|record| names.share(record)).collect())
    }

    pub(super) fn len(&self) -> u64 {
        (match self {
            Self::Table { columns, cells } => cells.len() / columns.len().max(1),
            Self::Records(records) => records.len(),
        }) as u64
    }

    /// The fields of a record; a cell that its line did not have is left out.
    pub(super) fn record(&self, index: u64) -> impl Iterator<Item = (&Arc<str>, Value)> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let (table, record) = match self {
            Self::Table { columns, cells } => (Some((columns, cells)), None),
            Self::Records(records) => (None, records.get(index)),
        };
        let of_table = table.into_iter().flat_map(move |(columns, cells)| {
            let first = index.saturating_mul(columns.len());
            columns
                .iter()
                .enumerate()
                .filter_map(move |(column, name)| Some((name, cells.get(first + column)?)))
        });
        let of_record = record
            .into_iter()
            .flat_map(|fields| fields.iter().map(|(name, value)| (name, value.clone())));
        of_table.chain(of_record)
    }
}

/// Field names, each held once.
#[derive(Default)]
pub(super) struct Names(HashMap<Arc<str>, ()>);

impl Names {
    pub(super) fn share(&mut self, record: ValueMap) -> Fields {
        record.into_iter().map(|(name, value)| (self.one(name), value)).collect()
    }

    fn one(&mut self, name: Arc<str>) -> Arc<str> {
        if let Some((known, ())) = self.0.get_key_value(&name) {
            return Arc::clone(known);
        }
        self.0.insert(Arc::clone(&name), ());
        name
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Shared(values) => values.len(),
            Self::Packed { ends, .. } => ends.len(),
        }
    }

    fn get(&self, index: usize) -> Option<Value> {
        match self {
            Self::Shared(values) => values.get(index)?.clone(),
            Self::Packed { text, ends } => {
                let end = *ends.get(index)?;
                if end & MISSING != 0 {
                    return None;
                }
                let start = index.checked_sub(1).map_or(0, |before| ends[before] & !MISSING);
                text.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?).map(Value::from)
            }
        }
    }
}

/// Collects a table cell by cell.
#[derive(Default)]
pub(super) struct TableBuilder {
    text: String,
    ends: Vec<u64>,
}

impl TableBuilder {
    pub(super) fn push(&mut self, cell: Option<&str>) {
        if let Some(cell) = cell {
            self.text.push_str(cell);
        }
        let missing = if cell.is_none() { MISSING } else { 0 };
        self.ends.push(self.text.len() as u64 | missing);
    }

    pub(super) fn finish(mut self, columns: Vec<Arc<str>>) -> Rows {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        let packed = Cells::Packed { text: self.text, ends: self.ends };
        let cells = if packed.len() <= SHARED_CELLS_MAX {
            Cells::Shared((0..packed.len()).map(|index| packed.get(index)).collect())
        } else {
            packed
        };
        Rows::Table { columns: columns.into(), cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_cells_are_the_shared_ones() {
        let mut builder = TableBuilder::default();
        for cell in [Some("a"), None, Some(""), Some("öl"), Some("z"), None] {
            builder.push(cell);
        }
        let packed = Cells::Packed { text: builder.text.clone(), ends: builder.ends.clone() };
        let columns: Vec<Arc<str>> = vec!["x".into(), "y".into()];
        let packed = Rows::Table { columns: columns.clone().into(), cells: packed };
        let shared = builder.finish(columns);
        assert!(matches!(&shared, Rows::Table { cells: Cells::Shared(_), .. }));
        for index in 0..4 {
            assert!(packed.record(index).eq(shared.record(index)), "{index}");
        }
        let second: Vec<_> = packed.record(1).map(|(name, _)| &**name).collect();
        assert_eq!(second, ["x", "y"]);
        assert_eq!(packed.record(0).count(), 1);
        assert_eq!(packed.len(), 3);
    }
}
