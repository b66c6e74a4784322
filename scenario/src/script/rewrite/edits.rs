//! Edits of a text that leave its lines where they are, and the way back from a place in what comes
//! of them.

use std::collections::BTreeMap;

use super::super::typescript::Place;

/// What is put into a text, and what is taken out.
pub(super) struct Edits<'s> {
    pub(super) source: &'s str,
    list: Vec<Edit>,
}

struct Edit {
    start: usize,
    end: usize,
    text: String,
    /// Among edits at one offset, the smaller first.
    order: i32,
}

/// Whether what is put in stands before or after what is nested in it.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Opens(i32),
    Closes(i32),
}

impl<'s> Edits<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, list: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn text(&self, start: usize, end: usize) -> &'s str {
        self.source.get(start..end).unwrap_or_default()
    }

    /// `side` has the depth of what is wrapped: what is outermost opens first and closes last.
    pub(super) fn insert(&mut self, at: usize, side: Side, text: impl Into<String>) {
        let order = match side {
            Side::Opens(depth) => depth,
            Side::Closes(depth) => i32::MIN / 2 - depth,
        };
        self.list.push(Edit { start: at, end: at, text: text.into(), order });
    }

    /// Line ends of what is replaced are kept behind `text`.
    pub(super) fn replace(&mut self, start: usize, end: usize, text: impl Into<String>) {
        let lines = self.text(start, end).matches('\n').count();
        let text = text.into() + &"\n".repeat(lines);
        self.list.push(Edit { start, end, text, order: i32::MAX });
    }

    /// The edited text, and the way back.
    pub(super) fn apply(mut self) -> (String, Shifts) {
        self.list.sort_by_key(|edit| (edit.start, edit.order));
        let mut out = String::with_capacity(self.source.len() * 2);
        let mut marks = Vec::new();
        let mut at = 0;
        for edit in &self.list {
            // One inside of another that takes its text out goes with it.
            if edit.start < at {
                continue;
            }
            out.push_str(self.text(at, edit.start));
            let before = out.len();
            out.push_str(&edit.text);
            marks.push((before, edit.start, true));
            marks.push((out.len(), edit.end, false));
            at = edit.end;
        }
        out.push_str(self.text(at, self.source.len()));
        let shifts = Shifts::new(self.source, &out, &marks);
        (out, shifts)
    }
}

/// From a column of the edited text back to the text as written; lines are the same.
#[derive(Debug, Default)]
pub(in super::super) struct Shifts {
    /// By line: from this column on, the column as written; put in: the same for all that follow.
    by_line: BTreeMap<u32, Vec<(u32, u32, bool)>>,
}

impl Shifts {
    fn new(source: &str, edited: &str, marks: &[(usize, usize, bool)]) -> Self {
        let mut by_line: BTreeMap<u32, Vec<(u32, u32, bool)>> = BTreeMap::new();
        let (mut from, mut to) = (Walk::new(edited), Walk::new(source));
        for (edited, original, inside) in marks {
            let (from, to) = (from.place(*edited), to.place(*original));
            by_line.entry(from.line).or_default().push((from.column, to.column, *inside));
        }
        Self { by_line }
    }

    pub(in super::super) fn original(&self, place: Place) -> Place {
        let marks = self.by_line.get(&place.line).map_or(&[][..], Vec::as_slice);
        let after = marks.partition_point(|(from, ..)| *from <= place.column);
        let column = match after.checked_sub(1).and_then(|index| marks.get(index)) {
            None => place.column,
            Some((_, to, true)) => *to,
            Some((from, to, false)) => to + (place.column - from),
        };
        Place { line: place.line, column }
    }
}

/// Offsets to places, in order, in one walk over the text.
struct Walk<'t> {
    text: &'t str,
    offset: usize,
    place: Place,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, offset: 0, place: Place { line: 1, column: 1 } }
    }

    fn place(&mut self, offset: usize) -> Place {
        for letter in self.text.get(self.offset..offset).unwrap_or_default().chars() {
            if letter == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        self.offset = offset.max(self.offset);
        self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_nest_and_places_lead_back() {
        let mut edits = Edits::new("ab\ncd(x\n)ef");
        edits.insert(5, Side::Opens(2), "[");
        edits.insert(5, Side::Opens(1), "<<");
        edits.insert(6, Side::Closes(1), ">>");
        edits.insert(6, Side::Closes(2), "]");
        edits.replace(6, 9, "!");
        let (text, shifts) = edits.apply();
        assert_eq!(text, "ab\ncd<<[(]>>!\nef");
        let original = |line, column| {
            let place = shifts.original(Place { line, column });
            (place.line, place.column)
        };
        assert_eq!(original(1, 2), (1, 2));
        assert_eq!(original(2, 2), (2, 2));
        assert_eq!(original(2, 4), (2, 3), "in what was put in");
        assert_eq!(original(2, 6), (2, 3), "the bracket itself");
        assert_eq!(original(3, 1), (3, 2));
    }
}
