//! Calls: who calls whom, when a call is up, who ends it, and what it failed of.
//!
//! | phase | entered when | leaves by |
//! |---|---|---|
//! | SettingUp | INVITE or MakeCall sent | both legs up and both EventEstablished seen: Up; a fault or the limit: Releasing |
//! | Up | | its hold is over: Asking, Quiet (with RTP) or Releasing |
//! | Asking | a desk asked for something (see `verbs`) | it is done: Up; refused or the limit: Releasing |
//! | Quiet | RTP stopped, packets on their way arrive | a moment: Releasing |
//! | Proving | the server was killed, and the call was up (see `recovery`) | every request was answered: Up; the limit: Releasing |
//! | Releasing | somebody hangs up | both legs over and both terminal events seen, or the limit: gone, counted |
//!
//! Invariant: each call is counted exactly once, as succeeded or under one cause, the first that showed.

use std::cmp::Reverse;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rsip::Uri;

use super::proof::Proof;
use super::verbs::Progress;
use super::{LegId, Recovery, Timer, World};
use crate::call::Note;

/// A call's number within the run.
pub type CallId = u64;

/// How long a release may take: beyond timer F, so that a BYE in vain is told as such.
const RELEASE_LIMIT: Duration = Duration::from_secs(33);
/// How long a call that failed may take to go away.
const CLEANUP_LIMIT: Duration = Duration::from_secs(10);
/// From the last RTP packet sent to hanging up.
const QUIET: Duration = Duration::from_millis(60);
/// Longer than any run.
const UNTIL_RELEASED: Duration = Duration::from_secs(7 * 24 * 3_600);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Dialled on the caller's phone.
    Phone,
    /// MakeCall of the caller's desk.
    Desk,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    SettingUp,
    Up,
    Asking,
    Quiet,
    Proving,
    Releasing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Release {
    Side(usize),
    Desk,
    /// ClearCall, because more than the two that began may be in it.
    Clear,
}

/// One side of a call: 0 the caller, 1 the callee, 2 who is consulted, if anybody.
#[derive(Default)]
pub(super) struct Side {
    pub(super) phone: usize,
    /// The phone is ours: without it, nothing is to be seen of this side.
    pub(super) ours: bool,
    pub(super) desk: Option<usize>,
    pub(super) leg: Option<LegId>,
    pub(super) rang_at: Option<Instant>,
    pub(super) answered_at: Option<Instant>,
    up: bool,
    over: bool,
    pub(super) seen: bool,
    pub(super) established: bool,
    pub(super) ended: bool,
    /// The phone is kept for this call, but not in it yet.
    pub(super) reserved: bool,
    /// The server is to end its leg.
    pub(super) leaves: bool,
}

impl Side {
    /// A phone that takes part from the beginning.
    pub(super) fn of(phone: usize, ours: bool, desk: Option<usize>) -> Self {
        Self {
            phone,
            ours,
            desk,
            ..Self::default()
        }
    }

    /// A phone that is kept for later.
    pub(super) fn reserve(phone: usize, desk: Option<usize>) -> Self {
        Self {
            phone,
            desk,
            reserved: true,
            ..Self::default()
        }
    }

    /// Whether its leg stands.
    pub(super) fn is_confirmed(&self) -> bool {
        self.up
    }
}

pub(super) struct Call {
    pub(super) way: Way,
    pub(super) sides: [Side; 3],
    pub(super) begun: Instant,
    pub(super) conn: Option<String>,
    pub(super) progress: Progress,
    pub(super) proof: Proof,
    /// How long it is up; until it is told where there is none.
    pub(super) hold: Option<Duration>,
    /// A part of the server that it needs is not there: it may fail.
    pub(super) excused: bool,
    phase: Phase,
    deadline: Instant,
    release: Release,
    failure: Option<String>,
}

impl Call {
    fn is_up(&self) -> bool {
        self.sides
            .iter()
            .all(|side| !side.ours || (side.up && (side.desk.is_none() || side.established)))
    }

    /// The two that began are connected, and nothing else was done yet.
    pub(super) fn is_setting_up(&self) -> bool {
        self.phase == Phase::SettingUp
    }

    /// The phones that are in it, or kept for it.
    pub(super) fn phones(&self) -> impl Iterator<Item = usize> {
        let taken = self.sides.iter().filter(|side| side.ours || side.reserved);
        taken.map(|side| side.phone)
    }

    /// What it failed of.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// It will be ended by ClearCall.
    pub(super) fn clears(&mut self) {
        self.release = Release::Clear;
    }

    /// A desk asked for something.
    pub(super) fn asks(&mut self) {
        self.phase = Phase::Asking;
    }

    /// What was asked is done.
    pub(super) fn goes_on(&mut self) {
        self.phase = Phase::Up;
    }

    /// It is up, and nobody ends it.
    pub(super) fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Asking) && self.failure.is_none()
    }

    /// It is up, and nothing was asked for that is not through.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Up && self.failure.is_none()
    }

    /// The server was killed.
    pub(super) fn proves(&mut self) {
        self.phase = Phase::Proving;
        self.excused = false;
        self.proof = Proof::of(self.verb_under_way());
        self.progress = self.progress.abandoned();
    }

    /// The server was killed, and it is not known yet whether the call is what it was.
    pub(super) fn is_proving(&self) -> bool {
        self.phase == Phase::Proving
    }

    fn is_done(&self) -> bool {
        let told = |side: &Side| side.desk.is_none() || side.ended || (self.failure.is_some() && !side.seen);
        self.sides.iter().all(|side| !side.ours || (side.over && told(side)))
    }

    /// What a call that took too long lacks.
    fn missing(&self) -> String {
        let lacks = |side: &Side, name: &str| -> Option<String> {
            let what = match self.phase {
                _ if !side.ours => return None,
                Phase::Asking if side.up && (side.desk.is_none() || side.established) => return None,
                Phase::Releasing if !side.over => "still has its leg",
                Phase::Releasing if side.desk.is_some() && !side.ended => "got no terminal event",
                Phase::Releasing => return None,
                _ if side.leg.is_none() => "got no INVITE",
                _ if !side.up => "has no confirmed leg",
                _ if side.desk.is_some() && !side.established => "got no EventEstablished",
                _ => return None,
            };
            Some(format!("{name} {what}"))
        };
        let [caller, callee, third] = &self.sides;
        let parts: Vec<String> = [lacks(caller, "caller"), lacks(callee, "callee"), lacks(third, "third")]
            .into_iter()
            .flatten()
            .collect();
        match (self.phase, self.verb_under_way()) {
            (Phase::Releasing, _) => format!("after the release: {}", parts.join(", ")),
            (Phase::Asking, Some(verb)) if parts.is_empty() => format!("{verb}: no answer"),
            (Phase::Asking, Some(verb)) => format!("{verb}: {}", parts.join(", ")),
            _ => format!("in setup: {}", parts.join(", ")),
        }
    }
}

/// The time of day in UTC.
fn clock(time: SystemTime) -> String {
    let ms = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let (seconds, ms) = (ms / 1000, ms % 1000);
    format!(
        "{:02}:{:02}:{:02}.{ms:03}Z",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The sides of a call.
const NAMES: [&str; 3] = ["caller", "callee", "third"];

impl World {
    /// Calls that are up, oldest first.
    pub fn calls_up(&self) -> Vec<CallId> {
        let up = self.calls.iter().filter(|(_, call)| call.phase == Phase::Up);
        let mut up: Vec<CallId> = up.map(|(id, _)| *id).collect();
        up.sort_unstable();
        up
    }

    /// Calls that are not over.
    pub fn calls_open(&self) -> usize {
        self.calls.len()
    }

    /// It was tried, and is ended like any other.
    pub(super) fn is_proven(&mut self, id: CallId, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.phase = Phase::Up;
            self.release(id, now);
        }
    }

    /// Ends a call that is up.
    pub fn release(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.phase == Phase::Up) else {
            return;
        };
        let legs = call.sides.each_ref().map(|side| side.leg);
        let Some(rtp) = &self.rtp else { return self.hang_up(id, now) };
        call.phase = Phase::Quiet;
        legs.into_iter().flatten().for_each(|leg| rtp.stop(leg));
        self.set_deadline(id, now + QUIET);
    }

    pub(super) fn begin(&mut self, mut sides: [Side; 3], hold: Option<Duration>, now: Instant) {
        let mut way = if self.toss(self.settings.mix_cti) {
            Way::Desk
        } else {
            Way::Phone
        };
        if way == Way::Desk && sides[0].desk.is_none() {
            sides.swap(0, 1);
        }
        if sides[0].desk.is_none() {
            way = Way::Phone;
        }
        let release = match (self.toss(1.0 / 3.0), self.toss(0.5)) {
            (true, _) if sides[0].desk.is_some() => Release::Desk,
            (_, true) if sides[1].ours => Release::Side(1),
            _ => Release::Side(0),
        };
        self.next_call += 1;
        let id = self.next_call;
        for side in &sides {
            if let Some(phone) = self.phones.get_mut(side.phone).filter(|_| side.ours) {
                phone.calls.push(id);
            }
        }
        self.expect(sides[1].phone, id);
        let deadline = now + self.settings.setup_limit;
        let (conn, phase, failure, begun) = (None, Phase::SettingUp, None, now);
        let mut call = Call {
            way,
            sides,
            begun,
            conn,
            progress: Progress::default(),
            proof: Proof::default(),
            hold,
            excused: false,
            phase,
            deadline,
            release,
            failure,
        };
        self.give_script(&mut call);
        let excused = call.phones().any(|phone| self.is_in_fault(phone));
        call.excused = excused;
        self.calls.insert(id, call);
        self.stats.attempted += 1;
        self.set_deadline(id, deadline);
        match way {
            Way::Phone => self.dial(id, now),
            Way::Desk => self.make_call(id, now),
        }
    }

    fn dial(&mut self, id: CallId, now: Instant) {
        let Some(phones) = self.calls.get(&id).map(|call| call.sides.each_ref().map(|side| side.phone)) else {
            return;
        };
        let user = match &self.settings.trunk {
            Some((number, _)) => number.clone(),
            None => self
                .phones
                .get(phones[1])
                .map(|phone| phone.line.user.clone())
                .unwrap_or_default(),
        };
        let uri = format!("sip:{user}@{}", self.settings.domain);
        match Uri::try_from(uri.as_str()) {
            Ok(uri) => {
                let leg = self.place_call(phones[0], &uri, id, now);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.sides[0].leg = leg;
                }
            }
            Err(_) => self.fail(id, format!("not a SIP URI: {uri}"), now),
        }
    }

    /// The phone is to be rung for this call.
    pub(super) fn expect(&mut self, phone: usize, id: CallId) {
        if let Some(phone) = self.phones.get_mut(phone) {
            phone.expecting.push_back(id);
        }
    }

    /// The call that an INVITE from `caller` belongs to: the one whose other side has that number, else the oldest.
    pub(super) fn take_expected(&mut self, phone: usize, caller: &str) -> Option<(CallId, usize)> {
        let expecting = &self.phones.get(phone)?.expecting;
        let other = |id: &CallId| {
            let call = self.calls.get(id)?;
            let side = usize::from(call.side_of(phone) != 1);
            Some(self.phones.get(call.sides[side].phone)?.line.user.as_str())
        };
        let at = expecting.iter().position(|id| other(id) == Some(caller)).unwrap_or(0);
        let id = self.phones.get_mut(phone)?.expecting.remove(at)?;
        let call = self.calls.get(&id)?;
        Some((id, call.side_of(phone)))
    }

    pub(super) fn on_invited(&mut self, id: CallId, side: usize, leg: LegId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.sides[side].leg = Some(leg);
        if side == 0 {
            self.stats.make_call_to_invite.record(now - call.begun);
        }
    }

    pub(super) fn on_note(&mut self, id: CallId, side: usize, note: Note, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let here = &mut call.sides[side];
        match note {
            Note::RingingSent => here.rang_at = Some(now),
            Note::AnswerSent => here.answered_at = Some(now),
            Note::Up => {
                here.up = true;
                if side == 0 && call.way == Way::Phone {
                    self.stats.setup_phone.record(now - call.begun);
                }
                self.check_up(id, now);
                self.check_verb(id, now);
                self.advance_proof(id, now);
            }
            Note::Media(_) if matches!(call.phase, Phase::Up | Phase::Asking | Phase::Proving) => self.start_media(id),
            Note::Media(_) | Note::Resent | Note::Repeated => {}
            Note::Ended { by_us } => {
                let expected = by_us || call.phase == Phase::Releasing || call.is_ended_by_server(side);
                self.leg_over(id, side);
                if !expected && !self.is_let_go(id, side) {
                    let name = NAMES.get(side).copied().unwrap_or_default();
                    self.fail(
                        id,
                        format!("the server ended the leg of the {name}, which nobody hung up"),
                        now,
                    );
                }
                self.check_done(id);
            }
            Note::Failed(failure) => {
                let name = NAMES.get(side).copied().unwrap_or_default();
                self.leg_over(id, side);
                self.fail(id, format!("{name}: {failure}"), now);
                self.check_done(id);
            }
        }
    }

    pub(super) fn leg_over(&mut self, id: CallId, side: usize) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.sides[side].over = true;
        if let (Some(rtp), Some(leg)) = (&self.rtp, call.sides[side].leg) {
            rtp.close(leg);
        }
    }

    pub(super) fn check_up(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.phase != Phase::SettingUp || !call.is_up() {
            return;
        }
        call.phase = Phase::Up;
        let hold = call.hold;
        // Without a time to hold it is up until it is released; the time that it had to get up is over in any case.
        self.set_deadline(id, now + hold.unwrap_or(UNTIL_RELEASED));
        self.start_media(id);
    }

    pub(super) fn start_media(&mut self, id: CallId) {
        let (Some(rtp), Some(call)) = (&self.rtp, self.calls.get(&id)) else {
            return;
        };
        for leg in call.sides.iter().filter(|side| !side.over).filter_map(|side| side.leg) {
            match self.legs.get(&leg).and_then(|entry| entry.media) {
                Some(to) => rtp.send_to(leg, to),
                None => rtp.stop(leg),
            }
        }
    }

    pub(super) fn on_call_time(&mut self, id: CallId, at: Instant, now: Instant) {
        let Some(call) = self.calls.get(&id).filter(|call| call.deadline == at) else {
            return;
        };
        if self.recovery.as_ref().is_some_and(Recovery::is_frozen) {
            return;
        }
        match call.phase {
            Phase::Proving => self.on_proof_time(id, now),
            Phase::SettingUp => self.fail(id, call.missing(), now),
            Phase::Asking => self.fail(id, call.missing(), now),
            Phase::Up if call.has_verbs() => self.next_verb(id, now),
            Phase::Up => self.release(id, now),
            Phase::Quiet => self.hang_up(id, now),
            Phase::Releasing => {
                let missing = call.missing();
                if let Some(call) = self.calls.get_mut(&id) {
                    call.failure.get_or_insert(missing);
                }
                self.finish(id);
            }
        }
    }

    fn hang_up(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.phase = Phase::Releasing;
        let (release, legs) = (call.release, call.sides.each_ref().map(|side| side.leg));
        self.set_deadline(id, now + RELEASE_LIMIT);
        match release {
            Release::Desk => self.release_call(id, false, now),
            Release::Clear => self.release_call(id, true, now),
            Release::Side(side) => {
                if let Some(leg) = legs[side] {
                    self.with_leg(leg, now, |leg, ids, out| leg.hang_up(ids, now, out));
                }
            }
        }
    }

    /// The call failed: the first cause counts, and everything of it is ended.
    pub(super) fn fail(&mut self, id: CallId, cause: String, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.failure.is_some() {
            return;
        }
        call.failure = Some(cause);
        call.phase = Phase::Releasing;
        for side in call.sides.iter_mut().filter(|side| side.leg.is_none()) {
            side.over = true;
        }
        let sides = call.sides.each_ref().map(|side| (side.phone, side.leg));
        self.set_deadline(id, now + CLEANUP_LIMIT);
        for (phone, leg) in sides {
            if let Some(phone) = self.phones.get_mut(phone) {
                phone.expecting.retain(|expected| *expected != id);
            }
            if let Some(leg) = leg {
                self.with_leg(leg, now, |leg, ids, out| leg.hang_up(ids, now, out));
            }
        }
        self.check_done(id);
    }

    pub(super) fn check_done(&mut self, id: CallId) {
        if self
            .calls
            .get(&id)
            .is_some_and(|call| call.phase == Phase::Releasing && call.is_done())
        {
            self.finish(id);
        }
    }

    fn finish(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.give_back(id, &call);
        if let Some(recovery) = &mut self.recovery {
            recovery.on_call_over(id, &call);
        }
        let told = self.tell(id, &call);
        match (call.failure, call.excused) {
            (None, _) => self.stats.succeeded += 1,
            (Some(cause), true) => *self.stats.failed_in_fault.entry(cause).or_default() += 1,
            (Some(cause), false) => {
                self.stats.failures_told.add(format!("{told}: {cause}"));
                *self.stats.failed.entry(cause).or_default() += 1;
            }
        }
    }

    /// What it takes to find a call in the server's logs.
    fn tell(&self, id: CallId, call: &Call) -> String {
        let user = |side: &Side| self.phones.get(side.phone).map_or("", |phone| phone.line.user.as_str());
        let [caller, callee, _] = &call.sides;
        let age = self.time.saturating_duration_since(call.begun).as_secs_f64();
        format!(
            "{} call {id} ({}), {} to {}, {:?}, ended by {:?}, {age:.1} s old",
            clock(SystemTime::now()),
            call.conn.as_deref().unwrap_or("no connId"),
            user(caller),
            user(callee),
            call.way,
            call.release
        )
    }

    /// Forgets a call that was not up when the server was killed: nothing more is expected of it but that its parties end.
    pub(super) fn interrupt(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.give_back(id, &call);
        self.stats.interrupted += 1;
        for leg in call.sides.iter().filter_map(|side| side.leg) {
            self.let_go(leg, now);
        }
    }

    /// Counts a call that did not end in time; its phones let it go.
    pub(super) fn conclude(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let missing = call.missing();
        call.failure.get_or_insert(missing);
        let legs = call.sides.each_ref().map(|side| side.leg);
        self.finish(id);
        for leg in legs.into_iter().flatten() {
            self.let_go(leg, now);
        }
    }

    fn give_back(&mut self, id: CallId, call: &Call) {
        for conn in [&call.conn, &call.progress.consult].into_iter().flatten() {
            self.conns.remove(conn);
        }
        for side in call.sides.iter().filter(|side| side.ours || side.reserved) {
            if let Some(phone) = self.phones.get_mut(side.phone) {
                phone.calls.retain(|other| *other != id);
                phone.expecting.retain(|other| *other != id);
            }
            // The phone that answers a trunk has no lines to give back.
            let far = self.settings.trunk.is_some() && side.phone + 1 == self.phones.len();
            if !far {
                self.free.push_back(side.phone);
            }
        }
    }

    pub(super) fn set_deadline(&mut self, id: CallId, at: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.deadline = at;
            self.timers.push(Reverse((at, Timer::Call(id))));
        }
    }
}
