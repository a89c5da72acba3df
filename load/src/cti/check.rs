//! What every event stream must keep, checked by a pure machine.
//!
//! - [`Chain`], one per client: sequences grow, and `previous` names the event before, so nothing was missed.
//! - [`Parties`], one per run: the events of each party (a DN in a call) come in a legal order, exactly one of them is
//!   terminal, nothing follows it.
//! - [`Services`], one per run: a DN goes out of service, and comes back, by turns.

use std::collections::{HashMap, HashSet};

use super::frame::EventFrame;

/// The sequence numbers of one client.
#[derive(Default)]
pub struct Chain {
    last: Option<u64>,
}

/// What is wrong with the numbers of a frame.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Break {
    /// It came before.
    #[error("{event}: sequence {sequence} after {last}")]
    #[allow(missing_docs, reason = "attributes of the frame")]
    Repeated { event: String, sequence: u64, last: u64 },
    /// Something before it did not come.
    #[error("{event}: previous {previous}, but the event before was {last}")]
    #[allow(missing_docs, reason = "attributes of the frame")]
    Missed { event: String, previous: u64, last: u64 },
    /// A client that resumed does not go on where it was.
    #[error("resumed with {outcome:?} instead of \"delta\"")]
    #[allow(missing_docs, reason = "an attribute of the frame")]
    NotResumed { outcome: String },
}

impl Chain {
    /// Takes the next frame; tells what is wrong with its numbers.
    pub fn take(&mut self, frame: &EventFrame) -> Result<(), Break> {
        let last = self.last.replace(frame.sequence);
        let Some(last) = last else { return Ok(()) };
        let (event, sequence, previous) = (frame.event.clone(), frame.sequence, frame.previous);
        if sequence <= last {
            return Err(Break::Repeated { event, sequence, last });
        }
        match previous == last {
            true => Ok(()),
            false => Err(Break::Missed { event, previous, last }),
        }
    }

    /// Takes the EventServerConnected of a client that resumes. That of a `delta` has no place of its own: both of its numbers are that of
    /// the event before. Any other outcome starts anew, and something may be missing.
    pub fn resume(&mut self, frame: &EventFrame) -> Result<(), Break> {
        let (last, outcome) = (self.last.unwrap_or_default(), frame.resume.clone().unwrap_or_default());
        if outcome != "delta" {
            self.last = Some(frame.sequence);
            return Err(Break::NotResumed { outcome });
        }
        match (frame.sequence, frame.previous) == (last, last) {
            true => Ok(()),
            false => {
                self.last = Some(frame.sequence);
                let (event, previous) = (frame.event.clone(), frame.previous);
                Err(Break::Missed { event, previous, last })
            }
        }
    }

    /// The sequence of the last event.
    pub fn last(&self) -> Option<u64> {
        self.last
    }
}

/// Where a party stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "named by the events that lead there")]
pub enum Standing {
    Dialing,
    Ringing,
    Established,
    Held,
    Failed,
    Ended,
}

/// Every party of the run.
#[derive(Default)]
pub struct Parties {
    standings: HashMap<(u64, String), Standing>,
    /// Parties whose EventRinging answered a request (SingleStepConference): who asked need not be registered on them, and who is gets
    /// a copy without the reference, sooner or later.
    told_twice: HashSet<(u64, String)>,
    forgotten: usize,
}

impl Parties {
    /// Takes the next event; tells which rule it breaks.
    pub fn take(&mut self, frame: &EventFrame) -> Result<(), String> {
        let (Some(conn), Some(dn)) = (&frame.conn_id, &frame.this_dn) else {
            return Ok(());
        };
        let conn_number = u64::from_str_radix(conn, 16).map_err(|_| format!("connId {conn:?} is not 16 hex digits"))?;
        let key = (conn_number, dn.clone());
        if frame.event == "EventPartyChanged" {
            self.moves(frame, &key)?;
        }
        let before = self.standings.get(&key).copied();
        if frame.event == "EventRinging" && self.is_second_copy(frame, &key, before) {
            return Ok(());
        }
        let after =
            next(before, &frame.event).map_err(|()| format!("{} of {dn} in call {conn}: {before:?} before", frame.event))?;
        if let Some(after) = after {
            self.standings.insert(key, after);
        }
        Ok(())
    }

    fn is_second_copy(&mut self, frame: &EventFrame, key: &(u64, String), before: Option<Standing>) -> bool {
        match (frame.reference_id.is_some(), before) {
            (true, None) => {
                self.told_twice.insert(key.clone());
                false
            }
            (true, Some(_)) => true,
            (false, _) => self.told_twice.remove(key),
        }
    }

    /// A consulted party goes on in the main call: its place in the consultation ends without a terminal event.
    fn moves(&mut self, frame: &EventFrame, key: &(u64, String)) -> Result<(), String> {
        let previous = frame
            .previous_conn_id
            .as_deref()
            .and_then(|conn| u64::from_str_radix(conn, 16).ok());
        let Some(previous) = previous.filter(|previous| *previous != key.0) else {
            return Ok(());
        };
        let (here, there) = ((previous, key.1.clone()), self.standings.get(key).copied());
        match (self.standings.get(&here).copied(), there) {
            (Some(standing), None) if standing != Standing::Ended => {
                self.standings.insert(here, Standing::Ended);
                self.standings.insert(key.clone(), standing);
                Ok(())
            }
            (from, to) => Err(format!(
                "EventPartyChanged of {}: {from:?} in {previous:016x}, {to:?} in {:016x}",
                key.1, key.0
            )),
        }
    }

    /// Where a DN stands in a call; none where it has no part in it.
    pub fn standing(&self, conn: &str, dn: &str) -> Option<Standing> {
        let conn = u64::from_str_radix(conn, 16).ok()?;
        self.standings.get(&(conn, dn.to_owned())).copied()
    }

    /// Forgets the parties that are over and those that were told to be open.
    pub fn forget(&mut self) {
        self.forgotten += self.standings.len();
        self.standings.clear();
        self.told_twice.clear();
    }

    /// How many parties there were.
    pub fn count(&self) -> usize {
        self.forgotten + self.standings.len()
    }

    /// The parties without a terminal event.
    pub fn open(&self) -> Vec<String> {
        let open = self.standings.iter().filter(|(_, standing)| **standing != Standing::Ended);
        open.map(|((conn, dn), standing)| format!("{dn} in call {conn:016x}: {standing:?}, no terminal event"))
            .collect()
    }
}

/// Which DNs are in service. Those that nothing was told of are.
#[derive(Default)]
pub struct Services {
    out: HashSet<String>,
    went: u64,
}

impl Services {
    /// Takes the next event; tells which rule it breaks.
    pub fn take(&mut self, frame: &EventFrame) -> Result<(), String> {
        let Some(dn) = &frame.this_dn else { return Ok(()) };
        match frame.event.as_str() {
            "EventDNOutOfService" if self.out.insert(dn.clone()) => self.went += 1,
            "EventDNOutOfService" => return Err(format!("EventDNOutOfService of {dn} once more")),
            "EventDNBackInService" if !self.out.remove(dn) => {
                return Err(format!("EventDNBackInService of {dn}, which was not out of service"));
            }
            _ => {}
        }
        Ok(())
    }

    /// The DNs that are out of service.
    pub fn out(&self) -> &HashSet<String> {
        &self.out
    }

    /// How often one went out of service.
    pub fn went(&self) -> u64 {
        self.went
    }
}

/// The legal orders. `None`: the event says nothing about the standing.
fn next(before: Option<Standing>, event: &str) -> Result<Option<Standing>, ()> {
    use Standing::*;
    let after = match (before, event) {
        (_, "EventError" | "EventPartyInfo" | "EventACK") => return Ok(None),
        (None, "EventDialing") => Dialing,
        (None, "EventRinging") => Ringing,
        (Some(Dialing), "EventNetworkReached") => Dialing,
        (Some(Dialing), "EventDestinationBusy") => Failed,
        (Some(Dialing | Ringing), "EventEstablished") => Established,
        (Some(Established), "EventHeld") => Held,
        (Some(Held), "EventRetrieved") => Established,
        (Some(Ringing), "EventAbandoned" | "EventDiverted") => Ended,
        (Some(Dialing | Ringing | Established | Held | Failed), "EventReleased") => Ended,
        (Some(Dialing | Ringing | Established | Held | Failed), "EventAttachedDataChanged") => return Ok(None),
        (
            Some(Dialing | Ringing | Established | Held),
            "EventPartyChanged" | "EventPartyAdded" | "EventPartyDeleted" | "EventMuteOn" | "EventMuteOff" | "EventDTMFSent",
        ) => return Ok(None),
        _ => return Err(()),
    };
    Ok(Some(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(event: &str, sequence: u64, previous: u64) -> EventFrame {
        EventFrame {
            event: event.into(),
            sequence,
            previous,
            this_dn: Some("sip:a@t".into()),
            conn_id: Some("0a".into()),
            ..Default::default()
        }
    }

    #[test]
    fn a_chain_without_gaps_is_accepted_and_each_break_is_told() {
        let mut chain = Chain::default();
        assert_eq!(chain.take(&frame("A", 5, 0)), Ok(()));
        assert_eq!(chain.take(&frame("B", 9, 5)), Ok(()));
        assert!(
            chain
                .take(&frame("C", 12, 10))
                .unwrap_err()
                .to_string()
                .contains("the event before was 9")
        );
        let again = chain.take(&frame("D", 12, 12)).unwrap_err();
        assert!(again.to_string().contains("sequence 12 after 12"));
        assert!(chain.take(&frame("E", 13, 0)).is_err());
    }

    #[test]
    fn a_chain_goes_on_after_a_delta_and_starts_anew_after_anything_else() {
        let connected = |outcome: &str, sequence, previous| EventFrame {
            resume: Some(outcome.into()),
            ..frame("EventServerConnected", sequence, previous)
        };
        let mut chain = Chain::default();
        assert_eq!(chain.take(&frame("A", 5, 0)), Ok(()));
        assert_eq!(chain.resume(&connected("delta", 5, 5)), Ok(()));
        assert_eq!(chain.take(&frame("B", 9, 5)), Ok(()));
        assert!(matches!(chain.resume(&connected("delta", 5, 5)), Err(Break::Missed { .. })));
        assert_eq!(chain.take(&frame("B", 9, 5)), Ok(()));
        assert!(matches!(
            chain.resume(&connected("snapshot", 40, 0)),
            Err(Break::NotResumed { .. })
        ));
        assert_eq!((chain.last(), chain.take(&frame("C", 41, 40))), (Some(40), Ok(())));
    }

    #[test]
    fn the_orders_of_a_party_are_legal_or_told() {
        let table: [(&[&str], bool, usize); 11] = [
            (
                &["EventDialing", "EventNetworkReached", "EventEstablished", "EventReleased"],
                true,
                0,
            ),
            (
                &[
                    "EventRinging",
                    "EventEstablished",
                    "EventHeld",
                    "EventRetrieved",
                    "EventReleased",
                ],
                true,
                0,
            ),
            (&["EventRinging", "EventAbandoned"], true, 0),
            (&["EventDialing", "EventDestinationBusy", "EventReleased"], true, 0),
            (&["EventRinging", "EventAttachedDataChanged", "EventEstablished"], true, 1),
            (&["EventRinging", "EventReleased", "EventReleased"], false, 0),
            (&["EventRinging", "EventReleased", "EventAttachedDataChanged"], false, 0),
            (&["EventEstablished"], false, 0),
            (&["EventReleased"], false, 0),
            (&["EventDialing", "EventAbandoned"], false, 1),
            (&["EventDialing", "EventRinging"], false, 1),
        ];
        for (events, legal, open) in table {
            let mut parties = Parties::default();
            let results: Vec<_> = events.iter().map(|event| parties.take(&frame(event, 1, 0))).collect();
            assert_eq!(results.iter().all(Result::is_ok), legal, "{events:?}: {results:?}");
            assert_eq!(parties.open().len(), open, "{events:?}");
        }
    }

    #[test]
    fn a_dn_goes_out_of_service_and_comes_back_by_turns() {
        let mut services = Services::default();
        let mut take = |event: &str| services.take(&frame(event, 1, 0));
        assert!(take("EventDNBackInService").is_err());
        assert_eq!(take("EventDNOutOfService"), Ok(()));
        assert!(take("EventDNOutOfService").is_err());
        assert_eq!((take("EventRinging"), take("EventDNBackInService")), (Ok(()), Ok(())));
        assert!(take("EventDNBackInService").is_err());
        assert_eq!(take("EventDNOutOfService"), Ok(()));
        assert_eq!((services.went(), services.out().len()), (2, 1));
    }

    #[test]
    fn a_consulted_party_goes_on_in_the_main_call() {
        let event = |name: &str, dn: &str, conn: &str, previous: Option<&str>| EventFrame {
            this_dn: Some(dn.into()),
            conn_id: Some(conn.into()),
            previous_conn_id: previous.map(str::to_owned),
            ..frame(name, 1, 0)
        };
        let mut parties = Parties::default();
        let mut take = |name, dn, conn, previous| parties.take(&event(name, dn, conn, previous));
        assert_eq!(take("EventDialing", "a", "1", None), Ok(()));
        assert_eq!(take("EventEstablished", "a", "1", None), Ok(()));
        assert_eq!(take("EventRinging", "c", "2", Some("1")), Ok(()));
        assert_eq!(take("EventPartyChanged", "a", "1", Some("1")), Ok(()));
        assert_eq!(take("EventPartyChanged", "c", "1", Some("2")), Ok(()), "while it rings");
        assert_eq!(take("EventEstablished", "c", "1", None), Ok(()));
        assert!(take("EventPartyChanged", "c", "1", Some("2")).is_err(), "twice");
        assert!(take("EventReleased", "c", "2", None).is_err(), "it is not there any more");
        assert_eq!(take("EventReleased", "c", "1", None), Ok(()));
        assert_eq!(take("EventReleased", "a", "1", None), Ok(()));
        assert_eq!(parties.open(), Vec::<String>::new());
    }
}
