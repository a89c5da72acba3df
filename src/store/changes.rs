//! What segments do to what was there before, with everything left out that has no effect any more.
//!
//! A call that begins and ends within the segments leaves nothing but the note that there is no such record. The values stay in the
//! bytes of the segments, so nothing is copied.

use std::collections::BTreeMap;

use super::frame::{Frame, Op};

/// A kind's number, and an id.
pub type Key<'a> = (u8, &'a [u8]);

/// The changes of one scope, in effect.
#[derive(Default, Debug)]
pub struct Changes<'a> {
    /// Whether everything from before is void.
    void: bool,
    /// Of each kind, the highest id below which everything from before is forgotten.
    floors: BTreeMap<u8, &'a [u8]>,
    /// What is put (`Some`) or forgotten, and the number of the operation that did it.
    entries: BTreeMap<Key<'a>, (u64, Option<&'a [u8]>)>,
    count: u64,
    mark: Option<u64>,
}

impl<'a> Changes<'a> {
    /// One operation more.
    pub fn apply(&mut self, frame: Frame<'a>) {
        self.count += 1;
        let key = (frame.kind, frame.id);
        match frame.op {
            Op::Put => {
                self.entries.insert(key, (self.count, Some(frame.value)));
            }
            Op::Remove => {
                self.entries.insert(key, (self.count, None));
            }
            Op::RemoveBelow => self.remove_below(frame.kind, frame.id),
            Op::Mark => self.mark = Some(self.count),
            // A mark and its end are in one segment; without it nothing is known to be void.
            Op::Void => {
                if let Some(mark) = self.mark.take() {
                    self.void = true;
                    self.floors.clear();
                    self.entries.retain(|_, (at, _)| *at > mark);
                }
            }
        }
    }

    fn remove_below(&mut self, kind: u8, id: &'a [u8]) {
        let floor = self.floors.entry(kind).or_default();
        *floor = id.max(floor);
        while let Some((key, _)) = self.entries.range((kind, &[][..])..(kind, id)).next() {
            let key = *key;
            self.entries.remove(&key);
        }
    }

    /// Whether everything from before is void.
    pub fn is_void(&self) -> bool {
        self.void
    }

    /// Of each kind, the id below which everything from before is forgotten. Goes before the entries.
    pub fn floors(&self) -> impl Iterator<Item = Key<'a>> {
        self.floors.iter().map(|(kind, id)| (*kind, *id))
    }

    /// What is put (`Some`) and forgotten, in order.
    pub fn entries(&self) -> impl Iterator<Item = (Key<'a>, Option<&'a [u8]>)> {
        self.entries.iter().map(|(key, (_, value))| (*key, *value))
    }

    /// Whether there was no operation at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Carries the changes out on records in memory.
    pub fn carry_out(&self, records: &mut BTreeMap<(u8, Vec<u8>), Vec<u8>>) {
        if self.void {
            records.clear();
        }
        for (kind, floor) in self.floors() {
            records.retain(|(of, id), _| *of != kind || id.as_slice() >= floor);
        }
        for ((kind, id), value) in self.entries() {
            let key = (kind, id.to_vec());
            match value {
                Some(value) => records.insert(key, value.to_vec()),
                None => records.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Records = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

    fn frame(op: Op, kind: u8, id: &'static [u8], value: &'static [u8]) -> Frame<'static> {
        Frame { op, kind, id, value }
    }

    /// The plain meaning of the operations, one after the other.
    fn plainly(records: &mut Records, frames: &[Frame<'_>]) {
        for frame in frames {
            match frame.op {
                Op::Put => drop(records.insert((frame.kind, frame.id.to_vec()), frame.value.to_vec())),
                Op::Remove => drop(records.remove(&(frame.kind, frame.id.to_vec()))),
                Op::RemoveBelow => records.retain(|(kind, id), _| *kind != frame.kind || id.as_slice() >= frame.id),
                Op::Mark | Op::Void => {}
            }
        }
    }

    #[test]
    fn a_record_that_was_put_and_removed_leaves_only_that_it_is_gone() {
        let mut changes = Changes::default();
        changes.apply(frame(Op::Put, 2, b"a", b"1"));
        changes.apply(frame(Op::Put, 2, b"a", b"2"));
        changes.apply(frame(Op::Remove, 2, b"a", b""));
        assert_eq!(changes.entries().collect::<Vec<_>>(), [((2, &b"a"[..]), None)]);
    }

    #[test]
    fn below_is_of_one_kind_and_does_not_touch_what_comes_later() {
        let mut changes = Changes::default();
        changes.apply(frame(Op::Put, 4, b"\x01", b"old"));
        changes.apply(frame(Op::Put, 5, b"\x01", b"other"));
        changes.apply(frame(Op::RemoveBelow, 4, b"\x05", b""));
        changes.apply(frame(Op::RemoveBelow, 4, b"\x03", b""));
        changes.apply(frame(Op::Put, 4, b"\x02", b"new"));
        assert_eq!(changes.floors().collect::<Vec<_>>(), [(4, &b"\x05"[..])]);
        let mut records = Records::from([
            ((4, b"\x04".to_vec()), b"gone".to_vec()),
            ((4, b"\x05".to_vec()), b"kept".to_vec()),
        ]);
        changes.carry_out(&mut records);
        let left: Vec<_> = records.values().map(Vec::as_slice).collect();
        assert_eq!(left, [&b"new"[..], b"kept", b"other"]);
    }

    #[test]
    fn what_was_put_before_the_mark_is_void_only_once_all_was_put_again() {
        let mut changes = Changes::default();
        changes.apply(frame(Op::Put, 2, b"a", b"stale"));
        changes.apply(frame(Op::Mark, 0, b"", b""));
        changes.apply(frame(Op::Put, 2, b"b", b"again"));
        let before = Records::from([((2, b"c".to_vec()), b"stale".to_vec())]);
        let mut records = before.clone();
        changes.carry_out(&mut records);
        assert_eq!(records.len(), 3, "not yet");
        changes.apply(frame(Op::Void, 0, b"", b""));
        changes.apply(frame(Op::Void, 0, b"", b""));
        records = before;
        changes.carry_out(&mut records);
        assert_eq!(records.into_keys().collect::<Vec<_>>(), [(2, b"b".to_vec())]);
    }

    proptest! {
        #[test]
        fn the_effect_is_that_of_the_operations_one_by_one(
            before in vec((1..4_u8, 0..8_u8), 0..10),
            ops in vec((0..3_usize, 1..4_u8, 0..8_u8), 0..60),
        ) {
            let ids: Vec<[u8; 1]> = (0..8).map(|id| [id]).collect();
            let values: Vec<[u8; 2]> = (0..60_u8).map(|n| [n, 7]).collect();
            let frames: Vec<Frame<'_>> = ops
                .iter()
                .zip(&values)
                .map(|((op, kind, id), value)| Frame {
                    op: Op::ALL[*op],
                    kind: *kind,
                    id: &ids[usize::from(*id)],
                    value: if *op == 0 { value } else { &[] },
                })
                .collect();
            let mut expected: Records = before.iter().map(|(kind, id)| ((*kind, vec![*id]), vec![0])).collect();
            let mut found = expected.clone();
            plainly(&mut expected, &frames);
            let mut changes = Changes::default();
            frames.iter().for_each(|frame| changes.apply(*frame));
            changes.carry_out(&mut found);
            prop_assert_eq!(found, expected);
        }
    }
}
