//! The stage of a call flow: a server, phones with media, one desk that watches all of them, and what each party is to be told.
//!
//! What the reference says of a flow is written in the test, one line for each event: the event's name (with `*REQUEST` where it
//! answers one), then those attributes that the reference names. What a line does not name is left to the snapshot, which has
//! everything. Words of a line:
//!
//! | word | attribute |
//! |---|---|
//! | `EventRinging*?` | an event that may answer a request, or not |
//! | `call-1` | ConnID, numbered as they show, from the flow's first event on |
//! | `Ok`, `Transferred`, ... | CallState |
//! | `type=Consult` | CallType |
//! | `as=Origination` | ThisDNRole |
//! | `other=1003/Destination`, `other=1003`, `other=-` | OtherDN and its role; `-`: absent |
//! | `third=1002/TransferredBy` | ThirdPartyDN and its role |
//! | `cause=1stepTransfer` | Cause |
//! | `previous=call-2` | PreviousConnID |
//! | `data=key:value` | UserData, all of it |
//! | `error=291` | ErrorCode |

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tandem_wire::model::request::{OnCall, OnCallWith, OnTwoCalls};
use tandem_wire::model::{ConnId, EventName, MergeType};
use tandem_wire::{ClientRequest, EventFrame};

use crate::rig::cti::Desk;
use crate::rig::handset::{CallNumber, Handset};
use crate::rig::server::{Server, Setup};
use crate::rig::wait;

/// What is heard is judged over this long.
const STRETCH: Duration = Duration::from_millis(240);

/// See the module.
pub struct Stage {
    pub server: Server,
    pub desk: Desk,
    asked: BTreeMap<u32, String>,
    names: Vec<String>,
    /// Frames before this belong to the beginning, not to the flow.
    begun: usize,
    /// Frames that a test has waited for.
    taken: BTreeSet<usize>,
}

/// The DN of a number.
pub fn dn(number: &str) -> String {
    if number.contains(':') {
        number.to_owned()
    } else {
        format!("sip:{number}@tandem.local")
    }
}

impl Stage {
    /// A server with DNs for these phones, which register; a desk that watches the DNs.
    pub async fn set<const N: usize>(numbers: &[&str; N]) -> (Self, [Handset; N]) {
        Self::with(Setup::new(), numbers).await
    }

    /// The same, with more configuration.
    pub async fn with<const N: usize>(setup: Setup, numbers: &[&str; N]) -> (Self, [Handset; N]) {
        let setup = numbers.iter().fold(setup, |setup, number| setup.trusted_phone(number));
        let server = setup.start().await;
        let mut phones = Vec::new();
        for number in numbers {
            phones.push(Handset::register(number, server.sip).await);
        }
        let phones = phones
            .try_into()
            .unwrap_or_else(|_| unreachable!("one phone for each number"));
        (Self::before(server, numbers).await, phones)
    }

    /// A desk before a server that runs.
    pub async fn before(server: Server, numbers: &[&str]) -> Self {
        let dns: Vec<String> = numbers.iter().map(|number| dn(number)).collect();
        let desk = Desk::on(server.http, &dns.iter().map(String::as_str).collect::<Vec<_>>()).await;
        Self {
            server,
            begun: desk.frames.len(),
            desk,
            asked: BTreeMap::new(),
            taken: BTreeSet::new(),
            names: numbers.iter().map(|number| (*number).to_owned()).collect(),
        }
    }

    /// The desk loses its connection, and resumes; the answer is EventServerConnected.
    pub async fn comes_back(self) -> (Self, EventFrame) {
        let (desk, answer) = self.desk.comes_back(self.server.http).await;
        (Self { desk, ..self }, answer)
    }

    /// The flow begins here: what was before is not looked at.
    pub fn begins(&mut self) {
        self.begun = self.desk.frames.len();
    }

    /// One phone calls another, which answers: the beginning of most flows.
    pub async fn talk(&mut self, caller: &Handset, called: &Handset) -> (ConnId, CallNumber, CallNumber) {
        let there = caller.dials(&called.name).await;
        let here = called.takes().await;
        caller.is_answered(there).await;
        let conn = self.event(EventName::EventEstablished, &called.name).await;
        self.event(EventName::EventEstablished, &caller.name).await;
        self.begins();
        (conn, there, here)
    }

    /// A party of a call consults a phone, which picks up: the consultation, and the phone's call.
    pub async fn consults(
        &mut self,
        operation: OnCallWith,
        number: &str,
        main: ConnId,
        target: &Handset,
    ) -> (ConnId, CallNumber) {
        let dialing = self.asks(with(operation, number, main, &target.name)).await;
        let ringing = target.takes().await;
        self.event(EventName::EventEstablished, number).await;
        (Desk::call_of(&dialing), ringing)
    }

    fn frames(&self) -> Vec<EventFrame> {
        (self.begun..self.desk.frames.len()).map(|at| self.frame(at)).collect()
    }

    /// Waits for the next event of this name about a phone, and gives its call. One that came since the flow began counts, once.
    pub async fn event(&mut self, name: EventName, number: &str) -> ConnId {
        let dn = dn(number);
        loop {
            let known = (self.begun..self.desk.frames.len()).filter(|at| !self.taken.contains(at));
            let found = known
                .map(|at| (at, self.frame(at)))
                .find(|(_, frame)| frame.is(name) && frame.this_dn.as_ref() == Some(&dn));
            if let Some((at, frame)) = found {
                self.taken.insert(at);
                return Desk::call_of(&frame);
            }
            self.desk.event().await;
        }
    }

    fn frame(&self, at: usize) -> EventFrame {
        EventFrame::decode(&self.desk.frames[at]).expect("an event")
    }

    /// Asks, and waits for the answer, which is no error.
    pub async fn asks(&mut self, request: ClientRequest) -> EventFrame {
        let answer = self.answer_to(request).await;
        assert!(
            !answer.is(EventName::EventError),
            "{:?}: {} {}",
            self.asked.values().last(),
            answer.error_code.unwrap_or_default(),
            answer.error_message.unwrap_or_default()
        );
        answer
    }

    /// Asks, and is refused with this code.
    pub async fn is_refused(&mut self, request: ClientRequest, code: u32) {
        let answer = self.answer_to(request).await;
        assert_eq!(answer.error_code, Some(code), "{:?}: {answer:?}", self.asked.values().last());
    }

    /// Asks, without waiting.
    pub async fn sends(&mut self, request: ClientRequest) -> u32 {
        let name = request.request.clone();
        let reference = self.desk.request(request).await;
        self.asked.insert(reference, name);
        reference
    }

    async fn answer_to(&mut self, request: ClientRequest) -> EventFrame {
        let reference = self.sends(request).await;
        self.answer(reference).await
    }

    /// The answer to a request that was sent.
    pub async fn answer(&mut self, reference: u32) -> EventFrame {
        loop {
            let frame = self.desk.event().await;
            if frame.reference_id == Some(reference) {
                return frame;
            }
        }
    }

    /// Waits until each of these phones hears these: names of phones, `sound` for music or a tone, nothing for silence. Then it must
    /// stay so for a moment.
    pub async fn hear(&self, expected: &[(&Handset, &str)]) {
        let wanted: Vec<BTreeSet<&str>> = expected.iter().map(|(_, names)| names.split_whitespace().collect()).collect();
        let fits = || {
            let heard: Vec<_> = expected.iter().map(|(phone, _)| phone.hears(STRETCH)).collect();
            if heard == wanted {
                Ok(())
            } else {
                let lines = expected
                    .iter()
                    .zip(&heard)
                    .map(|((phone, names), heard)| format!("{} hears {heard:?}, to hear [{names}]", phone.name));
                Err(lines.collect::<Vec<_>>().join("; "))
            }
        };
        let mut since: Option<Instant> = None;
        wait::until("who hears whom", Duration::from_secs(6), async || match fits() {
            Ok(()) if since.get_or_insert_with(Instant::now).elapsed() >= STRETCH => Ok(()),
            Ok(()) => Err("it is so, but not for long".to_owned()),
            Err(state) => {
                since = None;
                Err(state)
            }
        })
        .await;
    }

    /// Each party was told this (see the module), nothing is left in the server, which lives.
    pub async fn ends(mut self, name: &str, phones: &[&Handset], expected: &[(&str, &[&str])]) {
        self.server.idle().await;
        self.desk.settled().await;
        let frames = self.frames();
        let mut text = Vec::new();
        let mut names = Vec::new();
        let lines: Vec<(String, String)> = frames
            .iter()
            .filter(|frame| frame.conn_id.is_some() || frame.is(EventName::EventError))
            .map(|frame| (frame.this_dn.clone().unwrap_or_default(), self.line(frame, &mut names)))
            .collect();
        for number in &self.names {
            let own: Vec<&str> = lines
                .iter()
                .filter(|(to, _)| *to == dn(number))
                .map(|(_, line)| line.as_str())
                .collect();
            text.push(format!("to {number}\n  {}\n", own.join("\n  ")));
        }
        let transcript = text.join("\n");
        for (number, wanted) in expected {
            let own: Vec<&str> = lines
                .iter()
                .filter(|(to, _)| *to == dn(number))
                .map(|(_, line)| line.as_str())
                .collect();
            let agree = own.len() == wanted.len() && own.iter().zip(*wanted).all(|(line, wanted)| says(line, wanted));
            assert!(
                agree,
                "{name}: {number} is to be told\n  {}\nbut all were told\n{transcript}",
                wanted.join("\n  ")
            );
        }
        let complaints: Vec<_> = phones.iter().flat_map(|phone| phone.complaints()).collect();
        assert_eq!(complaints, [""; 0], "{name}");
        for frame in frames
            .iter()
            .filter(|frame| frame.conn_id.is_some() && carries_conversation(frame))
        {
            assert!(
                frame.extensions.text("Conversation-ID").is_some(),
                "no Conversation-ID: {frame:?}"
            );
        }
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(format!("flow_{name}"), transcript);
        });
        self.server.alive().await;
    }

    /// One event in one line, in words.
    fn line(&self, frame: &EventFrame, names: &mut Vec<String>) -> String {
        let mut call = |conn: &String| {
            let at = names.iter().position(|known| known == conn).unwrap_or_else(|| {
                names.push(conn.clone());
                names.len() - 1
            });
            format!("call-{}", at + 1)
        };
        let answers = frame.reference_id.and_then(|reference| self.asked.get(&reference));
        let mut words = vec![match answers {
            Some(request) => format!("{}*{request}", frame.event),
            None => frame.event.clone(),
        }];
        words.extend(frame.conn_id.as_ref().map(&mut call));
        words.extend(frame.call_state.clone());
        words.extend(frame.call_type.as_ref().map(|kind| format!("type={kind}")));
        words.extend(frame.this_dn_role.as_ref().map(|role| format!("as={role}")));
        let party = |word: &str, dn: &Option<String>, role: &Option<String>| {
            let dn = dn.as_ref()?;
            let number = dn
                .strip_prefix("sip:")
                .and_then(|dn| dn.strip_suffix("@tandem.local"))
                .unwrap_or(dn);
            Some(match role {
                Some(role) => format!("{word}={number}/{role}"),
                None => format!("{word}={number}"),
            })
        };
        words.extend(party("other", &frame.other_dn, &frame.other_dn_role));
        words.extend(party("third", &frame.third_party_dn, &frame.third_party_dn_role));
        words.extend(frame.cause.as_ref().map(|cause| format!("cause={cause}")));
        words.extend(frame.previous_conn_id.as_ref().map(|conn| format!("previous={}", call(conn))));
        words.extend(frame.dnis.as_ref().map(|dnis| format!("dnis={dnis}")));
        words.extend(frame.dtmf_digits.as_ref().map(|digits| format!("digits={digits}")));
        words.extend(frame.error_code.map(|code| format!("error={code}")));
        let pairs = |list: &tandem_wire::model::KvList| {
            let json = serde_json::to_value(list).expect("a list");
            let pairs = json.as_object().cloned().unwrap_or_default();
            let pairs = pairs.into_iter().filter(|(key, _)| key != "Conversation-ID");
            let pairs = pairs.map(|(key, value)| {
                let value = match value.as_str() {
                    // Extensions that name a call.
                    Some(text) if text.len() == 16 && key.contains("ConnID") => call(&text.to_owned()),
                    Some(text) => text.to_owned(),
                    None => value.to_string(),
                };
                format!("{key}:{value}")
            });
            pairs.collect::<Vec<_>>().join(",")
        };
        let mut pairs = pairs;
        let lists = [
            ("data", frame.user_data.as_ref()),
            ("reasons", Some(&frame.reasons)),
            ("ext", Some(&frame.extensions)),
        ];
        for (word, list) in lists {
            let text = list.map(&mut pairs).unwrap_or_default();
            if !text.is_empty() {
                words.push(format!("{word}={text}"));
            }
        }
        words.join(" ")
    }
}

/// Events that carry the extension Conversation-ID.
fn carries_conversation(frame: &EventFrame) -> bool {
    use EventName::*;
    [
        EventDialing,
        EventNetworkReached,
        EventRinging,
        EventEstablished,
        EventHeld,
        EventRetrieved,
        EventReleased,
        EventAbandoned,
        EventPartyAdded,
        EventPartyChanged,
        EventPartyDeleted,
    ]
    .into_iter()
    .any(|name| frame.is(name))
}

/// Whether a line has every word that is wanted.
fn says(line: &str, wanted: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let mut wanted = wanted.split_whitespace();
    let (name, first) = (words.first().copied().unwrap_or_default(), wanted.next().unwrap_or_default());
    let named = match first.strip_suffix("*?") {
        Some(first) => name.split('*').next() == Some(first),
        None => name == first,
    };
    named
        && wanted.all(|word| match word.split_once('=') {
            Some((key, "-")) => !words.iter().any(|known| known.starts_with(&format!("{key}="))),
            Some(("other" | "third", value)) if !value.contains('/') => words
                .iter()
                .any(|known| *known == word || known.starts_with(&format!("{word}/"))),
            _ => words.contains(&word),
        })
}

/// HoldCall, RetrieveCall, AnswerCall, SetMuteOn, SetMuteOff.
pub fn on_call(operation: OnCall, number: &str, call: ConnId) -> ClientRequest {
    ClientRequest::of_call(operation, &dn(number), call)
}

/// InitiateTransfer, InitiateConference, SingleStepTransfer, SingleStepConference, DeleteFromConference, RedirectCall.
pub fn with(operation: OnCallWith, number: &str, call: ConnId, other: &str) -> ClientRequest {
    ClientRequest::of_call_with(operation, &dn(number), call, &dn(other))
}

/// CompleteTransfer, CompleteConference, AlternateCall, ReconnectCall.
pub fn on_two(operation: OnTwoCalls, number: &str, held: ConnId, current: ConnId) -> ClientRequest {
    ClientRequest::of_two_calls(operation, &dn(number), held, current)
}

/// MergeCalls.
pub fn merge(kind: MergeType, number: &str, held: ConnId, current: ConnId) -> ClientRequest {
    on_two(OnTwoCalls::MergeCalls(kind), number, held, current)
}
