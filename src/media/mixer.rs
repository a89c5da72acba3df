//! The mixer of one conference: N sources, M listeners, a matrix of who hears whom.
//!
//! Every listener hears the exact sum of the sources in its row, limited softly at the top. Sources that are not fed in a round
//! cost nothing. Where a row holds more than half of what is fed ("everybody but me"), the total is made once and the few others
//! are subtracted: integer sums, so the result is the same to the bit.
//!
//! Listeners that hear the same in a round, in the same class, are one [`Group`]: mixed once, and to be encoded once. A hundred
//! participants who are silent themselves all hear the few who speak: one group. The caller gives listeners the same class where
//! one payload serves them all (same codec, same packet length). With G.711 a listener may change groups at any time; a codec
//! with memory (G.722, Opus) hears a change of encoder as a short disturbance at worst. The plane keeps that rare: it feeds a source
//! as long as that is audible with the hangover of [`crate::speaker::Activity`], so that a short pause does not regroup anybody.
//!
//! A round: [`Mixer::begin`], [`Mixer::feed`] for every source that is to be heard, [`Mixer::group`], then [`Mixer::render`] for
//! each group. Sources and listeners are numbered by the caller. One mixer has one rate; where a conference has listeners of both
//! rates, it has two mixers, and every source is converted once ([`crate::rate::Converter`]).

use std::ops::Range;

use crate::rate::Rate;

/// From here on sums are pressed together: -2.5 dBFS.
const KNEE: i32 = 24_576;

/// What one listener hears.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Row {
    /// The sources, in any order. Those that the mixer does not have are left out.
    pub hears: Vec<usize>,
    /// Listeners of different classes are never in one group.
    pub class: u32,
}

/// Listeners that hear the same in this round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Their class.
    pub class: u32,
    /// How many sources they hear that were fed: with none, the frame is silence.
    pub sources: usize,
    /// The one source that they hear, where it is one: its frame is passed on as it is.
    pub only: Option<usize>,
    members: Range<usize>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Mixer {
    frame: usize,
    sources: usize,
    /// `u64`s in a set of sources.
    words: usize,
    /// One set for each listener.
    rows: Vec<u64>,
    classes: Vec<u32>,
    fed: Vec<u64>,
    /// One frame for each source.
    frames: Vec<i16>,
    total: Vec<i32>,
    /// What each listener hears of what was fed.
    heard: Vec<u64>,
    /// Listeners, those of a group side by side.
    order: Vec<usize>,
    groups: Vec<Group>,
}

impl Mixer {
    /// A mixer without sources and listeners.
    pub fn new(rate: Rate) -> Self {
        Self {
            frame: rate.frame_samples(),
            sources: 0,
            words: 0,
            rows: Vec::new(),
            classes: Vec::new(),
            fed: Vec::new(),
            frames: Vec::new(),
            total: vec![0; rate.frame_samples()],
            heard: Vec::new(),
            order: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// The matrix from now on: so many sources, and a row for each listener. A round in progress is dropped.
    pub fn arrange(&mut self, sources: usize, rows: &[Row]) {
        self.sources = sources;
        self.words = sources.div_ceil(64);
        self.frames.resize(sources * self.frame, 0);
        self.rows.clear();
        self.rows.resize(rows.len() * self.words, 0);
        self.classes.clear();
        for (listener, row) in rows.iter().enumerate() {
            self.classes.push(row.class);
            for source in row.hears.iter().filter(|source| **source < sources) {
                self.rows[listener * self.words + source / 64] |= 1 << (source % 64);
            }
        }
        self.begin();
    }

    /// A round starts: nothing is fed yet.
    pub fn begin(&mut self) {
        self.fed.clear();
        self.fed.resize(self.words, 0);
        self.total.fill(0);
        self.groups.clear();
        self.order.clear();
    }

    /// The frame of a source in this round. A short one is filled up with silence, a long one cut. A source that is fed twice, or
    /// that the mixer does not have, is left out.
    pub fn feed(&mut self, source: usize, frame: &[i16]) {
        let Some(word) = self.fed.get_mut(source / 64).filter(|_| source < self.sources) else {
            return;
        };
        if *word >> (source % 64) & 1 == 1 {
            return;
        }
        *word |= 1 << (source % 64);
        let kept = &mut self.frames[source * self.frame..][..self.frame];
        let used = frame.len().min(self.frame);
        kept[..used].copy_from_slice(&frame[..used]);
        kept[used..].fill(0);
        for (sum, sample) in self.total.iter_mut().zip(kept) {
            *sum += i32::from(*sample);
        }
    }

    /// Every source was fed: finds the groups.
    pub fn group(&mut self) -> &[Group] {
        let words = self.words;
        self.heard.clear();
        if words > 0 {
            for row in self.rows.chunks_exact(words) {
                self.heard.extend(row.iter().zip(&self.fed).map(|(row, fed)| row & fed));
            }
        }
        self.order.clear();
        self.order.extend(0..self.classes.len());
        let (heard, classes) = (&self.heard, &self.classes);
        let key = |listener: usize| (classes[listener], &heard[listener * words..][..words]);
        self.order
            .sort_unstable_by(|one, other| key(*one).cmp(&key(*other)).then(one.cmp(other)));
        self.groups.clear();
        let mut start = 0;
        for members in self.order.chunk_by(|one, other| key(*one) == key(*other)) {
            let (class, set) = key(members[0]);
            self.groups.push(Group {
                class,
                sources: set.iter().map(|word| word.count_ones() as usize).sum(),
                only: only(set),
                members: start..start + members.len(),
            });
            start += members.len();
        }
        &self.groups
    }

    /// The groups of this round, as [`Mixer::group`] found them: every listener is in exactly one.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The listeners of a group of this round, rising.
    pub fn listeners(&self, group: &Group) -> &[usize] {
        self.order.get(group.members.clone()).unwrap_or_default()
    }

    /// Appends one frame: what the group hears.
    pub fn render(&self, group: &Group, out: &mut Vec<i16>) {
        let set = self
            .listeners(group)
            .first()
            .and_then(|listener| self.heard.get(listener * self.words..(listener + 1) * self.words))
            .unwrap_or_default();
        if let Some(source) = group.only {
            out.extend_from_slice(self.frame_of(source));
            return;
        }
        let fed: usize = self.fed.iter().map(|word| word.count_ones() as usize).sum();
        let mut sums = [0; Rate::Wide.frame_samples()];
        let sums = &mut sums[..self.frame];
        if group.sources * 2 > fed {
            sums.copy_from_slice(&self.total);
            for source in members(set.iter().zip(&self.fed).map(|(heard, fed)| fed & !heard)) {
                add(sums, self.frame_of(source), -1);
            }
        } else {
            for source in members(set.iter().copied()) {
                add(sums, self.frame_of(source), 1);
            }
        }
        out.extend(sums.iter().map(|sum| limit(*sum)));
    }

    fn frame_of(&self, source: usize) -> &[i16] {
        self.frames
            .get(source * self.frame..(source + 1) * self.frame)
            .unwrap_or_default()
    }
}

/// The one member of a set that has one.
fn only(set: &[u64]) -> Option<usize> {
    let mut members = members(set.iter().copied());
    members.next().filter(|_| members.next().is_none())
}

/// The members of a set, rising.
fn members(set: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    set.enumerate().flat_map(|(index, mut word)| {
        std::iter::from_fn(move || {
            let bit = word.trailing_zeros();
            word &= word.wrapping_sub(1);
            (bit < 64).then_some(index * 64 + bit as usize)
        })
    })
}

fn add(sums: &mut [i32], frame: &[i16], sign: i32) {
    for (sum, sample) in sums.iter_mut().zip(frame) {
        *sum += sign * i32::from(*sample);
    }
}

/// A sum as a sample: as it is up to the knee, above it ever flatter, never beyond the scale.
fn limit(sum: i32) -> i16 {
    let above = sum.abs() - KNEE;
    if above <= 0 {
        return sum as i16;
    }
    let room = i32::from(i16::MAX) - KNEE;
    let pressed = KNEE + (i64::from(room) * i64::from(above) / i64::from(room + above)) as i32;
    (pressed * sum.signum()) as i16
}

#[cfg(test)]
mod tests;
