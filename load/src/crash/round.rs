//! The figures of a round, and how they are told.

use std::fmt;

use serde::Serialize;

use super::ms;
use crate::report::show_faults;
use crate::stats::Faults;
use crate::world::Recovery;

/// One fault and what became of it.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "figures named by what they are")]
pub struct Round {
    /// What was done to the server: `kill`, or as `--fault` names it.
    pub fault: String,
    /// The connector that it was done to.
    pub connector: Option<usize>,
    /// Calls that were up at the fault, in the part that it struck.
    pub established: u64,
    pub in_talk: u64,
    pub on_hold: u64,
    pub consulting: u64,
    pub in_conference: u64,
    /// Calls that were ringing, dialling or ending.
    pub interrupted: u64,
    /// Calls that were up and are not what they were.
    pub lost: Faults,
    /// Calls that were up elsewhere, or came up since, and were tried at last.
    pub rest: u64,
    /// Calls that began during the fault, needed that part, and failed.
    pub failed_in_fault: u64,
    /// How often a DN went out of service.
    pub went_out: u64,
    /// From the fault to the first and the last EventDNOutOfService, and to the last EventDNBackInService, in milliseconds.
    pub first_out_ms: Option<f64>,
    pub last_out_ms: Option<f64>,
    pub last_back_ms: Option<f64>,
    /// How often the owners of all DNs were looked at, how often they could not be, and what was wrong with them.
    pub owners_seen: u64,
    pub owners_unseen: u64,
    pub owned_twice: Faults,
    /// The most DNs that all connectors together said to own.
    pub most_owned: u64,
    /// Events of any client.
    pub events_missed: u64,
    pub events_repeated: u64,
    pub events_wrong: u64,
    /// Parties without a terminal event.
    pub without_end: Faults,
    /// Requests that had no answer at the kill.
    pub in_flight: u64,
    /// Those of them that never got one, though the server had read them.
    pub unanswered: Faults,
    /// Those that it need not have read.
    pub unread: u64,
    /// Requests after the restart that were refused at first, and asked again.
    pub refused: Faults,
    /// From the start of the process (or the end of the fault), in milliseconds: until it says that it is ready,
    pub ready_ms: Option<f64>,
    /// to the first sign of a call from before,
    pub first_ms: Option<f64>,
    /// and until each of them has answered a request.
    pub all_ms: Option<f64>,
    /// How many of them have.
    pub controllable: u64,
    /// Legs that the server refreshed.
    pub refreshed: u64,
    pub rss_kib_before: u64,
    pub rss_kib_after: u64,
    /// The journal on disk at the kill.
    pub journal_kib: u64,
}

impl Round {
    /// What a recovery has found out.
    pub(super) fn of(recovery: &Recovery) -> Self {
        let before = recovery.before;
        let mut unanswered = Faults::default();
        recovery.unanswered().into_iter().for_each(|request| unanswered.add(request));
        Self {
            established: recovery.established() as u64,
            in_talk: before.in_talk,
            on_hold: before.on_hold,
            consulting: before.consulting,
            in_conference: before.in_conference,
            interrupted: before.interrupted,
            lost: recovery.lost.clone(),
            in_flight: before.in_flight,
            unanswered,
            unread: recovery.unread(),
            refused: recovery.refused.clone(),
            first_ms: recovery.first.map(ms),
            all_ms: recovery.all.map(ms),
            controllable: recovery.controllable() as u64,
            refreshed: recovery.refreshed() as u64,
            rest: recovery.rest.len() as u64,
            first_out_ms: recovery.services[0].map(ms),
            last_out_ms: recovery.services[1].map(ms),
            last_back_ms: recovery.services[2].map(ms),
            ..Self::default()
        }
    }

    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
        writeln!(
            f,
            "  {name:<12} {} calls up ({} in talk, {} on hold, {} consulting, {} in conference), {} not up: {} lost",
            self.established, self.in_talk, self.on_hold, self.consulting, self.in_conference, self.interrupted, self.lost.count
        )?;
        writeln!(
            f,
            "    events     {} missed, {} repeated, {} wrong; {} parties without end",
            self.events_missed, self.events_repeated, self.events_wrong, self.without_end.count
        )?;
        writeln!(
            f,
            "    requests   {} in flight, {} not answered, {} perhaps not read; {} refused at first after the restart",
            self.in_flight, self.unanswered.count, self.unread, self.refused.count
        )?;
        writeln!(
            f,
            "    from start {} to ready, {} to the first call, {} to all of them ({}); {} legs refreshed",
            time(self.ready_ms),
            time(self.first_ms),
            time(self.all_ms),
            self.controllable,
            self.refreshed
        )?;
        if self.is_split() {
            self.show_split(f)?;
        }
        writeln!(
            f,
            "    memory     {} KiB before, {} KiB after; journal {} KiB",
            self.rss_kib_before, self.rss_kib_after, self.journal_kib
        )?;
        show_faults(f, "lost", &self.lost)?;
        show_faults(f, "owned twice", &self.owned_twice)?;
        show_faults(f, "without end", &self.without_end)?;
        show_faults(f, "not answered", &self.unanswered)?;
        show_faults(f, "refused", &self.refused)
    }
}

impl Round {
    fn is_split(&self) -> bool {
        self.fault != "kill"
    }

    fn name(&self) -> String {
        match self.connector {
            Some(connector) => format!("{} {connector}", self.fault),
            None => self.fault.clone(),
        }
    }

    fn show_split(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
        writeln!(
            f,
            "    elsewhere  {} calls tried besides; {} that began in the fault and needed that part failed in it",
            self.rest, self.failed_in_fault
        )?;
        writeln!(
            f,
            "    DNs        {} times out of service, first after {}, last after {}; last back after {}",
            self.went_out,
            time(self.first_out_ms),
            time(self.last_out_ms),
            time(self.last_back_ms)
        )?;
        writeln!(
            f,
            "    owners     looked at {} times ({} times in vain), {} wrong; {} DNs owned at the most",
            self.owners_seen, self.owners_unseen, self.owned_twice.count, self.most_owned
        )
    }
}

/// The rounds, and those of each fault together: counts added, the longest times.
pub fn show(rounds: &[Round], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, round) in rounds.iter().enumerate() {
        match round.is_split() {
            true => round.show(&format!("round {}, {}", index + 1, round.name()), f)?,
            false => round.show(&format!("round {}", index + 1), f)?,
        }
    }
    let mut faults: Vec<&str> = rounds.iter().map(|round| round.fault.as_str()).collect();
    faults.sort_unstable();
    faults.dedup();
    for fault in faults {
        let same: Vec<&Round> = rounds.iter().filter(|round| round.fault == fault).collect();
        match (same.len(), fault) {
            (1, _) => {}
            (_, "kill") => total(&same).show("all rounds", f)?,
            (count, _) => total(&same).show(&format!("all {count} of {fault}"), f)?,
        }
    }
    Ok(())
}

fn total(rounds: &[&Round]) -> Round {
    let longest = |a: Option<f64>, b: Option<f64>| a.map_or(b, |a| Some(b.map_or(a, |b| a.max(b))));
    let add = |mut faults: Faults, more: &Faults| {
        faults.count += more.count;
        faults
    };
    rounds.iter().fold(Round::default(), |sum, round| Round {
        fault: round.fault.clone(),
        connector: None,
        rest: sum.rest + round.rest,
        failed_in_fault: sum.failed_in_fault + round.failed_in_fault,
        went_out: sum.went_out + round.went_out,
        first_out_ms: longest(sum.first_out_ms, round.first_out_ms),
        last_out_ms: longest(sum.last_out_ms, round.last_out_ms),
        last_back_ms: longest(sum.last_back_ms, round.last_back_ms),
        owners_seen: sum.owners_seen + round.owners_seen,
        owners_unseen: sum.owners_unseen + round.owners_unseen,
        owned_twice: add(sum.owned_twice, &round.owned_twice),
        most_owned: sum.most_owned.max(round.most_owned),
        established: sum.established + round.established,
        in_talk: sum.in_talk + round.in_talk,
        on_hold: sum.on_hold + round.on_hold,
        consulting: sum.consulting + round.consulting,
        in_conference: sum.in_conference + round.in_conference,
        interrupted: sum.interrupted + round.interrupted,
        lost: add(sum.lost, &round.lost),
        events_missed: sum.events_missed + round.events_missed,
        events_repeated: sum.events_repeated + round.events_repeated,
        events_wrong: sum.events_wrong + round.events_wrong,
        without_end: add(sum.without_end, &round.without_end),
        in_flight: sum.in_flight + round.in_flight,
        unanswered: add(sum.unanswered, &round.unanswered),
        unread: sum.unread + round.unread,
        refused: add(sum.refused, &round.refused),
        ready_ms: longest(sum.ready_ms, round.ready_ms),
        first_ms: longest(sum.first_ms, round.first_ms),
        all_ms: longest(sum.all_ms, round.all_ms),
        controllable: sum.controllable + round.controllable,
        refreshed: sum.refreshed + round.refreshed,
        rss_kib_before: sum.rss_kib_before.max(round.rss_kib_before),
        rss_kib_after: sum.rss_kib_after.max(round.rss_kib_after),
        journal_kib: sum.journal_kib.max(round.journal_kib),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_added_and_the_longest_times_are_told() {
        let mut lost = Faults::default();
        lost.add("call 7: gone");
        let one = Round {
            established: 10,
            all_ms: Some(300.0),
            lost,
            ..Round::default()
        };
        let other = Round {
            established: 5,
            all_ms: Some(700.0),
            first_ms: Some(90.0),
            ..Round::default()
        };
        let sum = total(&[&one, &other]);
        assert_eq!((sum.established, sum.lost.count), (15, 1));
        assert_eq!((sum.first_ms, sum.all_ms, sum.ready_ms), (Some(90.0), Some(700.0), None));
    }
}
