//! Who hears whom, made into ways for packets.
//!
//! Invariant: `relays` of a port holds exactly the ports of this thread whose route is [`Route::Relay`] of it.

use std::collections::HashSet;
use std::sync::Arc;

use smallvec::SmallVec;

use super::event::{PlaneEventKind, Source};
use super::floor::{Floor, Now};
use super::line::{Line, Route, Slot};
use super::player::Player;
use crate::FRAME_MS;
use crate::prompt::Prompt;

impl Floor {
    /// What the port hears from now on.
    pub(super) fn hear(&mut self, slot: Slot, sources: Vec<Source>) {
        let sources = without_repeats(sources);
        let music = self.music.music();
        let Some(line) = self.line(slot) else { return };
        let port = line.id;
        let before = std::mem::replace(&mut line.hears, sources.clone());
        line.choose_players(&music);
        for source in before {
            if let Source::Port(source) = source
                && let Some(hearers) = self.hearers.get_mut(&source)
            {
                hearers.retain(|hearer| *hearer != port);
                if hearers.is_empty() {
                    self.hearers.remove(&source);
                }
            }
        }
        for source in sources {
            if let Source::Port(source) = source {
                let hearers = self.hearers.entry(source).or_default();
                if !hearers.contains(&port) {
                    hearers.push(port);
                }
            }
        }
        self.reroute(slot);
        if let Some(line) = self.peek(slot).filter(|line| line.route == Route::Made) {
            self.unarranged.push(line.session);
        }
    }

    /// A file that a port hears was loaded, or cannot be had.
    pub(super) fn loaded(&mut self, slot: Slot, name: &str, prompt: Option<&Arc<Prompt>>) {
        let Some(line) = self.line(slot) else { return };
        let (port, owner) = (line.id, line.owner);
        let mut missing = 0;
        for (source, player) in &mut line.players {
            if let (Source::File { name: wanted, repeat }, Player::Waiting) = (&*source, &*player)
                && **wanted == *name
            {
                let repeat = *repeat;
                player.load(prompt.cloned(), repeat);
                missing += usize::from(prompt.is_none());
            }
        }
        for _ in 0..missing {
            self.tell(port, owner, PlaneEventKind::FileEnded);
        }
    }

    /// Brings the routes up to date with what has changed.
    pub(super) fn follow_up(&mut self, _now: Now) {
        for (slot, key) in std::mem::take(&mut self.repeated) {
            if let Some(line) = self.line(slot) {
                if let Some(settings) = &line.settings {
                    line.keys.push(key.encode_utf8(&mut [0; 4]), settings);
                }
                let port = line.id;
                self.changed.push(port);
            }
        }
        while let Some(port) = self.changed.pop() {
            if let Some(slot) = self.slots.get(&port).copied() {
                self.reroute(slot);
            }
            for hearer in self.hearers.get(&port).cloned().unwrap_or_default() {
                if let Some(slot) = self.slots.get(&hearer).copied() {
                    self.reroute(slot);
                }
            }
        }
        self.arrange();
    }

    fn reroute(&mut self, slot: Slot) {
        let Some(mut line) = self.lines.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let route = self.route_of(&line);
        if route != line.route {
            if let Route::Relay(source) = line.route
                && let Some(source) = self.line(source)
            {
                source.relays.retain(|listener| *listener != slot);
            }
            if let Route::Relay(source) = route
                && let Some(source) = self.line(source)
            {
                source.relays.push(slot);
            }
            if line.route == Route::Made || route == Route::Made {
                self.unarranged.push(line.session);
            }
            line.route = route;
        } else if route == Route::Made {
            self.unarranged.push(line.session);
        }
        if let Some(entry) = self.lines.get_mut(slot) {
            *entry = Some(line);
        }
    }

    fn route_of(&self, line: &Line) -> Route {
        if line.settings.is_none() {
            return Route::Silent;
        }
        let ports: SmallVec<[Slot; 2]> = self.ports_heard(line).collect();
        let others = line.hears.iter().any(|source| !matches!(source, Source::Port(_)));
        match ports.as_slice() {
            [] if !others && line.keys.is_idle() => Route::Silent,
            [only] if !others && self.can_relay(*only, line) => Route::Relay(*only),
            _ => Route::Made,
        }
    }

    /// The ports of this thread and its session that it hears, not itself.
    pub(super) fn ports_heard<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = Slot> + 'a {
        line.hears.iter().filter_map(|source| {
            let Source::Port(id) = source else { return None };
            let slot = self.slots.get(id).copied().filter(|_| *id != line.id)?;
            let same = self.lines.get(slot)?.as_ref()?.session == line.session;
            same.then_some(slot)
        })
    }

    /// Whether the listener's device takes the source's packets as they are. A source that was not heard yet is thought to be alike.
    fn can_relay(&self, source: Slot, listener: &Line) -> bool {
        let Some(source) = self.lines.get(source).and_then(Option::as_ref) else {
            return false;
        };
        let Some(settings) = &listener.settings else { return false };
        let longest = settings.ptime_ms.max(FRAME_MS as u32);
        let fits = |(codec, ms)| codec == settings.codec && ms <= longest;
        listener.keys.is_idle() && source.heard.is_none_or(fits)
    }
}

/// What is heard twice is heard once.
fn without_repeats(mut sources: Vec<Source>) -> Vec<Source> {
    let mut seen = HashSet::new();
    sources.retain(|source| seen.insert(source.clone()));
    sources
}
