//! A phone with a will of its own and real media: it answers what belongs to a session by itself (re-INVITE, UPDATE, BYE, NOTIFY),
//! sends its tone and records what it hears, while the test says whom it calls and what it does.
//!
//! It registers from loopback without a password ([`Setup::trusted_phone`](super::server::Setup::trusted_phone)). It knows nothing of
//! the product's own SIP.

mod session;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::sip::{Dialog, Message, tag_of, unique};
use super::voice::{Voice, tone_of};
use super::wait;
use wire::Wire;

/// The number of a call within its phone, from 0 in the order they began.
pub type CallNumber = usize;

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Calling,
    Ringing,
    Talking,
    /// With the status that ended it before it was answered.
    Over(Option<u16>),
}

/// What the phone wants of its audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Talk,
    Hold,
}

/// What a phone does when it is told to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtTalk {
    /// It answers.
    Answers,
    /// It says yes, and rings on.
    RingsOn,
    /// It does not know the event.
    Refuses,
}

/// What a phone can do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// What it does when told to answer by `Event: talk`.
    pub talk: AtTalk,
    /// The event packages that it says it takes.
    pub allow_events: Option<&'static str>,
    /// It invites with an offer; without, the other side has to make one.
    pub offers: bool,
    /// It says that it rings as soon as it is called; without, when the test lets it ([`Handset::says_it_rings`]).
    pub rings_at_once: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            talk: AtTalk::Answers,
            allow_events: None,
            offers: true,
            rings_at_once: true,
        }
    }
}

/// A registered phone.
pub struct Handset {
    /// Its user name.
    pub name: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    name: String,
    wire: Wire,
    abilities: Abilities,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// What was answered already, by branch and CSeq: repeats get it again.
    answered: HashMap<(String, String), String>,
    /// Final answers to requests outside of calls, by CSeq.
    finals: HashMap<String, Message>,
    /// Its subscription, with the answer to it.
    watch: Option<(Dialog, Message)>,
    /// The documents of the conference that it watches.
    notified: Vec<String>,
    /// What should not have come.
    complaints: Vec<String>,
    /// Calls that a test has taken note of.
    noted: usize,
    /// It lets re-INVITEs wait.
    stalled: bool,
    /// The calls in which it hangs up as soon as a REFER of its own is accepted.
    leaves: Vec<CallNumber>,
}

struct Call {
    incoming: bool,
    /// It has said 180.
    has_rung: bool,
    stage: Stage,
    call_id: String,
    local: String,
    remote: String,
    local_tag: String,
    remote_tag: String,
    /// Of the early dialog of a call that rings yet.
    early_tag: String,
    target: String,
    /// The route of its requests in the dialog (RFC 3261 s.12.1), as Route values.
    routes: Vec<String>,
    cseq: u32,
    branch: String,
    invite: Option<Message>,
    voice: Arc<Voice>,
    wish: Wish,
    /// What the other side said of its audio last: where, and whether it listens and talks.
    far: Option<Far>,
    version: u32,
    /// Our re-INVITE under way, by its CSeq, with its branch.
    reinvite: Option<(u32, String)>,
    /// The final status of each re-INVITE of ours, in their order.
    reinvited: Vec<u16>,
    /// The other side's phone was said to ring.
    alerting: bool,
    /// What NOTIFYs told about our REFER, and the status of the REFER itself.
    transfer: Vec<u16>,
    refer: Option<(u32, u16)>,
    /// What the ACK to our 200 is to carry.
    answer_due: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Far {
    address: Option<SocketAddr>,
    sends: bool,
    listens: bool,
}

impl Handset {
    /// Registers `sip:NAME@tandem.local`.
    pub async fn register(name: &str, server: SocketAddr) -> Self {
        Self::able(name, server, Abilities::default()).await
    }

    /// The same, for a phone that cannot do everything.
    pub async fn able(name: &str, server: SocketAddr, abilities: Abilities) -> Self {
        let phone = Self::on(name, Wire::datagrams("127.0.0.1:0", server).await, abilities);
        phone.registers(1).await;
        phone
    }

    /// Registers over a connection.
    pub async fn over_tcp(name: &str, server: SocketAddr) -> Self {
        let phone = Self::on(name, Wire::connection(server).await, Abilities::default());
        phone.registers(1).await;
        phone
    }

    /// Loses its connection.
    pub async fn loses_its_connection(&self) {
        self.shared.wire.breaks().await;
    }

    /// Connects anew and registers with the Contact of before, at which it does not listen. Which registration of this phone it is has to
    /// be said.
    pub async fn connects_anew(&mut self, number: u32) {
        self.shared.wire.connects_anew().await;
        self.task = tokio::spawn(session::listen(self.shared.clone()));
        self.registers(number).await;
    }

    /// Loses its connection, and has the next one with another server.
    pub async fn connects_to(&mut self, server: SocketAddr, number: u32) {
        self.loses_its_connection().await;
        self.shared.wire.moves_to(server);
        self.connects_anew(number).await;
    }

    /// Registers somewhere else, and is silent towards the one before. Which registration of this phone it is has to be said.
    pub async fn moves_to(&self, server: SocketAddr, number: u32) {
        self.shared.wire.moves_to(server);
        self.registers(number).await;
    }

    async fn registers(&self, number: u32) {
        let (me, name, wire) = (self.dn(), &self.name, &self.shared.wire);
        let (address, transport, parameters) = (wire.address, wire.transport(), wire.parameters());
        let text = format!(
            "REGISTER sip:tandem.local SIP/2.0\r\nVia: SIP/2.0/{transport} {address};branch=z9hG4bK{};rport\r\nMax-Forwards: 70\r\n\
             From: <{me}>;tag=r{}\r\nTo: <{me}>\r\nCall-ID: reg-{}\r\nCSeq: {number} REGISTER\r\n\
             Contact: <sip:{name}@{address}{parameters}>\r\nExpires: 300\r\nContent-Length: 0\r\n\r\n",
            unique(),
            unique(),
            unique()
        );
        self.shared.send(&text).await;
        let answer = format!("{number} REGISTER");
        let status = self.until("its registration", |state| {
            state.finals.get(&answer).and_then(Message::status)
        });
        assert_eq!(status.await, 200);
    }

    /// A phone behind a trunk: it does not register, and its calls come from this address.
    pub async fn outside(name: &str, address: &str, server: SocketAddr) -> Self {
        Self::on(name, Wire::datagrams(address, server).await, Abilities::default())
    }

    fn on(name: &str, wire: Wire, abilities: Abilities) -> Self {
        let shared = Arc::new(Shared {
            name: name.into(),
            wire,
            abilities,
            state: Mutex::default(),
        });
        let task = tokio::spawn(session::listen(shared.clone()));
        Self {
            name: name.into(),
            shared,
            task,
        }
    }

    /// Its DN.
    pub fn dn(&self) -> String {
        self.shared.dn()
    }

    /// How many calls it has had.
    pub fn call_count(&self) -> usize {
        self.shared.state().calls.len()
    }

    /// Where it is.
    pub fn address(&self) -> String {
        self.shared.wire.address.to_string()
    }

    /// Dials.
    pub async fn dials(&self, number: &str) -> CallNumber {
        self.invites(number, "").await
    }

    /// Dials, with more header lines.
    pub async fn invites(&self, number: &str, more: &str) -> CallNumber {
        let uri = format!("sip:{number}@tandem.local");
        let voice = Arc::new(Voice::open(tone_of(&self.name)).await);
        let offer = if self.shared.abilities.offers {
            describe(voice.port, 1, "sendrecv")
        } else {
            String::new()
        };
        let (number, text) = {
            let mut state = self.shared.state();
            let mut call = Call::new(&format!("rig-{}", unique()), &self.dn(), &uri, &uri, voice);
            (call.cseq, call.version) = (1, 1);
            let text = call.request_with(&self.shared, "INVITE", 1, &call.branch, more, &offer);
            state.calls.push(call);
            state.noted = state.calls.len();
            (state.calls.len() - 1, text)
        };
        self.shared.send(&text).await;
        number
    }

    /// Waits for the next call that comes in. It rings.
    pub async fn rings(&self) -> CallNumber {
        self.until("a call", |state| {
            let at = state.noted;
            let next = state.calls.iter().skip(at).position(|call| call.incoming)? + at;
            state.noted = next + 1;
            Some(next)
        })
        .await
    }

    /// Says 180 to a call that came in.
    pub async fn says_it_rings(&self, call: CallNumber) {
        let invite = self.invite(call);
        self.shared.state().calls[call].has_rung = true;
        self.shared.reply(&invite, "180 Ringing", &self.shared.contact(), "").await;
    }

    /// Picks up a call that rings.
    pub async fn picks_up(&self, call: CallNumber) {
        self.shared.answer(call).await;
        self.until("the ACK", |state| {
            let call = &state.calls[call];
            (call.stage == Stage::Talking && call.invite.is_some() && !call.answer_due).then_some(())
        })
        .await;
    }

    /// Waits for the next call that comes in, and picks up.
    pub async fn takes(&self) -> CallNumber {
        let call = self.rings().await;
        self.picks_up(call).await;
        call
    }

    /// Waits until it is told that the phone it calls rings: the server has an early dialog there by then.
    pub async fn hears_ringing(&self, call: CallNumber) {
        self.until("ringing", |state| state.calls[call].alerting.then_some(())).await;
    }

    /// Waits until a call it made is answered.
    pub async fn is_answered(&self, call: CallNumber) {
        let stage = self.until("an answer", |state| {
            let stage = state.calls[call].stage;
            (stage != Stage::Calling).then_some(stage)
        });
        assert_eq!(stage.await, Stage::Talking, "{}", self.name);
    }

    /// Waits until a call is over; the status, where it was never answered.
    pub async fn is_over(&self, call: CallNumber) -> Option<u16> {
        self.until("the end of a call", |state| match state.calls[call].stage {
            Stage::Over(status) => Some(status),
            _ => None,
        })
        .await
    }

    /// Turns a call down that rings. `more`: header lines.
    pub async fn refuses(&self, call: CallNumber, status: &str, more: &str) {
        let text = {
            let mut state = self.shared.state();
            let call = &mut state.calls[call];
            let invite = call.invite.clone().expect("a call that rings");
            call.stage = Stage::Over(status[..3].parse().ok());
            let text = invite.response(status, &call.local_tag, more, "");
            state.answered.insert(key(&invite), text.clone());
            text
        };
        self.shared.send(&text).await;
    }

    /// Hangs up, or gives up a call that is not answered.
    pub async fn hangs_up(&self, call: CallNumber) {
        let text = self.shared.state().calls[call].hang_up(&self.shared);
        let text = text.unwrap_or_else(|| panic!("{} has no such call", self.name));
        self.shared.send(&text).await;
    }

    /// Puts the other side on hold, by a re-INVITE.
    pub async fn holds(&self, call: CallNumber) {
        self.wishes(call, Wish::Hold).await;
    }

    /// Takes the other side back, by a re-INVITE.
    pub async fn resumes(&self, call: CallNumber) {
        self.wishes(call, Wish::Talk).await;
    }

    async fn wishes(&self, call: CallNumber, wish: Wish) {
        loop {
            let (done, text) = {
                let mut state = self.shared.state();
                let call = &mut state.calls[call];
                call.wish = wish;
                call.version += 1;
                call.cseq += 1;
                let (cseq, branch) = (call.cseq, unique().to_string());
                let offer = call.description(None);
                let text = call.request_with(&self.shared, "INVITE", cseq, &branch, "", &offer);
                call.reinvite = Some((cseq, branch));
                (call.reinvited.len(), text)
            };
            self.shared.send(&text).await;
            let status = self.until("the answer to a re-INVITE", |state| {
                state.calls[call].reinvited.get(done).copied()
            });
            match status.await {
                200 => return,
                // Both sides at once (RFC 3261 s.14.1): once more, when the other's is done.
                491 => tokio::time::sleep(Duration::from_millis(30)).await,
                status => panic!("{}: its re-INVITE got {status}", self.name),
            }
        }
    }

    /// Makes a conference of two calls that it mixes by itself: each hears the other.
    pub fn conferences(&self, call: CallNumber, other: CallNumber) {
        let state = self.shared.state();
        state.calls[call].voice.mixes_with(&state.calls[other].voice);
    }

    /// Asks for a transfer of a call to a number; gives the last status that it is told of it.
    pub async fn transfers(&self, call: CallNumber, to: &str) -> u16 {
        self.refers(call, &format!("<sip:{to}@tandem.local>")).await
    }

    /// Asks for a transfer of a call to the other side of another one.
    pub async fn joins(&self, call: CallNumber, other: CallNumber) -> u16 {
        let replaces = self
            .replaces(other)
            .replace(';', "%3B")
            .replace('=', "%3D")
            .replace('@', "%40");
        let target = self.shared.state().calls[other].target.clone();
        let refer_to = format!("<{}?Replaces={replaces}>", target.split(';').next().unwrap_or_default());
        self.refers(call, &refer_to).await
    }

    /// The same, and it hangs up in these calls as soon as that is accepted.
    pub async fn joins_and_leaves(&self, call: CallNumber, other: CallNumber, leaves: &[CallNumber]) -> u16 {
        self.shared.state().leaves = leaves.to_vec();
        self.joins(call, other).await
    }

    /// The dialog of a call, as a Replaces header of somebody else names it.
    pub fn replaces(&self, call: CallNumber) -> String {
        self.shared.state().calls[call].replaces()
    }

    async fn refers(&self, call: CallNumber, refer_to: &str) -> u16 {
        self.asks_to_refer(call, refer_to).await;
        self.is_told_of_transfer(call).await
    }

    /// Asks for a transfer of a call to a number, and waits only until that is accepted.
    pub async fn begins_transfer(&self, call: CallNumber, to: &str) {
        self.asks_to_refer(call, &format!("<sip:{to}@tandem.local>")).await;
        let status = self.until("the answer to a REFER", |state| {
            let answer = state.calls[call].refer.map(|(_, status)| status);
            answer.filter(|status| *status != 0)
        });
        assert_eq!(status.await, 202, "{}", self.name);
    }

    async fn asks_to_refer(&self, call: CallNumber, refer_to: &str) {
        let text = {
            let mut state = self.shared.state();
            let call = &mut state.calls[call];
            call.cseq += 1;
            call.refer = Some((call.cseq, 0));
            call.transfer.clear();
            let more = format!("Refer-To: {refer_to}\r\nReferred-By: <{}>\r\n", self.dn());
            call.request(&self.shared, "REFER", &more, "")
        };
        self.shared.send(&text).await;
    }

    /// Waits for the last status that it is told of the transfer of a call.
    pub async fn is_told_of_transfer(&self, call: CallNumber) -> u16 {
        self.until("the end of a transfer", |state| {
            let call = &state.calls[call];
            let refused = call.refer.map(|(_, status)| status).filter(|status| *status >= 300);
            refused.or_else(|| call.transfer.iter().copied().find(|status| *status >= 200))
        })
        .await
    }

    /// From now on it lets re-INVITEs wait, or answers them again.
    pub fn stalls(&self, stalled: bool) {
        self.shared.state().stalled = stalled;
    }

    /// Who it hears, in all its calls, in the last stretch of this length.
    pub fn hears(&self, stretch: Duration) -> BTreeSet<&'static str> {
        let voices: Vec<_> = self.shared.state().calls.iter().map(|call| call.voice.clone()).collect();
        voices.iter().flat_map(|voice| voice.hears(stretch)).collect()
    }

    /// Whether it has heard all of these at once in a call, lately.
    pub fn has_heard(&self, call: CallNumber, names: &[&str]) -> bool {
        let voice = self.shared.state().calls[call].voice.clone();
        voice.has_heard(names)
    }

    /// The digits that came over a call.
    pub fn digits(&self, call: CallNumber) -> String {
        self.shared.state().calls[call].voice.digits()
    }

    /// Presses these keys, as events in its audio (RFC 4733).
    pub fn presses(&self, call: CallNumber, digits: &str) {
        self.shared.state().calls[call].voice.press(digits);
    }

    /// The INVITE with which a call came in.
    pub fn invite(&self, call: CallNumber) -> Message {
        let invite = self.shared.state().calls[call].invite.clone();
        invite.expect("a call that came in")
    }

    /// Watches a conference by subscription (RFC 4575).
    pub async fn watches(&self, conference: &str) {
        let uri = format!("sip:{conference}@tandem.local");
        let dialog = Dialog::new(&self.dn(), &uri, self.shared.wire.address);
        let more = "Event: conference\r\nAccept: application/conference-info+xml\r\nExpires: 300\r\n";
        let text = dialog.request_with("SUBSCRIBE", &uri, 1, "", &unique().to_string(), more, "");
        self.shared.send(&text).await;
        let answer = self
            .until("its subscription", |state| state.finals.get("1 SUBSCRIBE").cloned())
            .await;
        assert_eq!(answer.status(), Some(200), "{}", answer.start);
        self.shared.state().watch = Some((dialog, answer));
    }

    /// Ends that.
    pub async fn watches_no_more(&self) {
        let (dialog, answer) = self.shared.state().watch.take().expect("a subscription");
        let more = "Event: conference\r\nExpires: 0\r\n";
        let (tag, branch) = (tag_of(answer.header("To")), unique().to_string());
        let text = dialog.request_with("SUBSCRIBE", answer.contact(), 2, tag, &branch, more, "");
        self.shared.send(&text).await;
        let answer = self.until("its end", |state| state.finals.get("2 SUBSCRIBE").and_then(Message::status));
        assert_eq!(answer.await, 200);
    }

    /// Waits until a document of the conference that it watches says so; none is older than one that was waited for before.
    pub async fn is_shown(&self, what: &str, says: impl Fn(&str) -> bool) {
        self.until(what, |state| {
            let at = state.notified.iter().position(|document| says(document));
            at.map(|at| drop(state.notified.drain(..at)))
        })
        .await;
    }

    /// What it was asked that no phone should be asked.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.state().complaints.clone()
    }

    async fn until<T>(&self, what: &str, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        wait::until(&format!("{what} at {}", self.name), wait::SOON, async || {
            let mut state = self.shared.state();
            let stages: Vec<_> = state.calls.iter().map(|call| call.stage).collect();
            find(&mut state).ok_or_else(|| format!("{stages:?}"))
        })
        .await
    }
}

impl Drop for Handset {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Call {
    fn new(call_id: &str, local: &str, remote: &str, target: &str, voice: Arc<Voice>) -> Self {
        Self {
            incoming: false,
            has_rung: false,
            stage: Stage::Calling,
            call_id: call_id.into(),
            local: local.into(),
            remote: remote.into(),
            local_tag: format!("t{}", unique()),
            remote_tag: String::new(),
            early_tag: String::new(),
            target: target.into(),
            routes: Vec::new(),
            cseq: 0,
            branch: unique().to_string(),
            invite: None,
            voice,
            wish: Wish::Talk,
            far: None,
            version: 0,
            reinvite: None,
            reinvited: Vec::new(),
            alerting: false,
            transfer: Vec::new(),
            refer: None,
            answer_due: false,
        }
    }

    /// Its REFER is answered.
    fn referred(&mut self, seq: u32, status: u16) {
        if let Some((_, known)) = self.refer.as_mut().filter(|(cseq, _)| *cseq == seq) {
            *known = status;
        }
    }

    /// What is to be sent to end it, or to give it up.
    fn hang_up(&mut self, phone: &Shared) -> Option<String> {
        match self.stage {
            Stage::Talking => {
                self.cseq += 1;
                self.stage = Stage::Over(None);
                self.quiet();
                Some(self.request(phone, "BYE", "", ""))
            }
            Stage::Calling => Some(self.request_with(phone, "CANCEL", self.cseq, &self.branch, "", "")),
            Stage::Ringing | Stage::Over(_) => None,
        }
    }

    fn request(&self, phone: &Shared, method: &str, more: &str, body: &str) -> String {
        self.request_with(phone, method, self.cseq, &unique().to_string(), more, body)
    }

    fn request_with(&self, phone: &Shared, method: &str, cseq: u32, branch: &str, more: &str, body: &str) -> String {
        let (address, transport, parameters) = (phone.wire.address, phone.wire.transport(), phone.wire.parameters());
        let routes: String = self.routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let to_tag = if self.remote_tag.is_empty() {
            String::new()
        } else {
            format!(";tag={}", self.remote_tag)
        };
        let content_type = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{transport} {address};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n\
             {routes}From: <{}>;tag={}\r\nTo: <{}>{to_tag}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:{}@{address}{parameters}>\r\n{more}{content_type}Content-Length: {}\r\n\r\n{body}",
            self.target,
            self.local,
            self.local_tag,
            self.remote,
            self.call_id,
            phone.name,
            body.len()
        )
    }

    /// Our session description: as the answer to this one, or as an offer.
    fn description(&mut self, offer: Option<&str>) -> String {
        let far = offer.map(read_description);
        let (wish_listens, sends) = (self.wish == Wish::Talk, true);
        let (may_send, may_listen) = far.map_or((true, true), |far| (far.listens, far.sends));
        let direction = match (sends && may_send, wish_listens && may_listen) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        };
        self.version += 1;
        if far.is_some() {
            self.far = far;
            self.tune();
        }
        describe(self.voice.port, self.version, direction)
    }

    /// The other side's answer to our description.
    fn described(&mut self, body: &str) {
        if !body.is_empty() {
            self.far = Some(read_description(body));
            self.tune();
        }
    }

    /// A phone that holds neither talks nor listens.
    fn tune(&self) {
        let talks = self.wish == Wish::Talk && matches!(self.stage, Stage::Talking | Stage::Calling);
        let far = self.far.filter(|far| far.listens && talks);
        self.voice.set(far.and_then(|far| far.address), talks);
    }

    fn quiet(&self) {
        self.voice.set(None, false);
    }

    fn replaces(&self) -> String {
        let is_early = self.remote_tag.is_empty();
        let remote_tag = if is_early { &self.early_tag } else { &self.remote_tag };
        format!("{};to-tag={remote_tag};from-tag={}", self.call_id, self.local_tag)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dn(&self) -> String {
        format!("sip:{}@tandem.local", self.name)
    }

    fn contact(&self) -> String {
        let events = self
            .abilities
            .allow_events
            .map(|events| format!("Allow-Events: {events}\r\n"));
        format!(
            "Contact: <sip:{}@{}{}>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, NOTIFY, INFO, PRACK\r\n{}",
            self.name,
            self.wire.address,
            self.wire.parameters(),
            events.unwrap_or_default()
        )
    }

    async fn send(&self, text: &str) {
        self.wire.send(text).await;
    }

    /// Answers a call that rings with 200.
    async fn answer(&self, number: CallNumber) {
        let text = {
            let mut state = self.state();
            let call = &mut state.calls[number];
            if call.stage != Stage::Ringing {
                return;
            }
            let invite = call.invite.clone().expect("a call that rings");
            call.stage = Stage::Talking;
            call.answer_due = true;
            let body = if invite.body.is_empty() {
                call.description(None)
            } else {
                call.description(Some(&invite.body))
            };
            let text = invite.response("200 OK", &call.local_tag, &self.contact(), &body);
            state.answered.insert(key(&invite), text.clone());
            text
        };
        self.send(&text).await;
    }

    async fn reply(&self, request: &Message, status: &str, more: &str, body: &str) {
        let text = {
            let mut state = self.state();
            let tag = state
                .call_of(request)
                .map_or_else(|| format!("t{}", unique()), |call| state.calls[call].local_tag.clone());
            let text = request.response(status, &tag, more, body);
            if !status.starts_with('1') {
                state.answered.insert(key(request), text.clone());
            }
            text
        };
        self.send(&text).await;
    }
}

impl State {
    fn call_of(&self, message: &Message) -> Option<CallNumber> {
        let id = message.header("Call-ID");
        self.calls.iter().position(|call| call.call_id == id)
    }
}

/// What tells a request from its repeats.
fn key(request: &Message) -> (String, String) {
    (request.header("Via").to_owned(), request.header("CSeq").to_owned())
}

fn describe(port: u16, version: u32, direction: &str) -> String {
    format!(
        "v=0\r\no=rig {port} {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na={direction}\r\n"
    )
}

fn read_description(body: &str) -> Far {
    let line = |prefix: &str| body.lines().find_map(|line| line.strip_prefix(prefix));
    let ip = line("c=IN IP4 ").map(str::trim).unwrap_or("0.0.0.0");
    let port: u16 = line("m=audio ")
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or(0);
    let has = |direction: &str| body.lines().any(|line| line.trim() == format!("a={direction}"));
    let (send_only, receive_only, inactive) = (has("sendonly"), has("recvonly"), has("inactive"));
    let address = ip.parse().ok().map(|ip| SocketAddr::new(ip, port));
    let address = address.filter(|address| port != 0 && !address.ip().is_unspecified());
    Far {
        address,
        sends: !receive_only && !inactive,
        listens: !send_only && !inactive && address.is_some(),
    }
}
