//! A peer that says what the test writes, facing one user agent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::rig::*;
use crate::flow::{ConnectionId, Flow, ListenerId, Transport};
use crate::message::{HeaderName, Message, Method, RequestBuilder, ResponseBuilder};
use crate::ua::*;

/// The peer's address.
pub(super) const PEER: &str = "10.0.0.9:5060";

pub(super) fn udp() -> Flow {
    flow_from(PEER)
}

pub(super) fn flow_from(peer: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        peer: peer.parse().unwrap(),
        connection: None,
    }
}

pub(super) fn tcp(connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(1),
        peer: PEER.parse().unwrap(),
        connection: Some(ConnectionId(connection)),
    }
}

pub(super) struct Peer {
    pub now: Instant,
    pub agent: UserAgent,
    pub flow: Flow,
    pub events: Vec<UaEvent>,
    pub resolves: Vec<(ResolveId, String)>,
}

impl Peer {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut UaConfig)) -> Self {
        let mut config = config(0);
        change(&mut config);
        let agent = UserAgent::new(config, StdRng::seed_from_u64(1));
        Self {
            now: Instant::now(),
            agent,
            flow: udp(),
            events: Vec::new(),
            resolves: Vec::new(),
        }
    }

    /// What the user agent sends now.
    pub fn sent(&mut self) -> Vec<(Flow, Message)> {
        let mut sent = Vec::new();
        while let Some(output) = self.agent.poll() {
            match output {
                UaOutput::Send { flow, bytes } => sent.push((flow, Message::parse(bytes).unwrap())),
                UaOutput::Resolve { id, uri } => self.resolves.push((id, uri.to_string())),
                UaOutput::Event(event) => self.events.push(event),
            }
        }
        sent
    }

    /// The one message that the user agent sends now.
    pub fn one(&mut self) -> (Flow, Message) {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?} {:?}", self.events);
        sent.remove(0)
    }

    /// The last event, when nothing is to be sent.
    pub fn told(&mut self) -> Option<&UaEvent> {
        assert_eq!(self.lines(), Vec::<String>::new());
        self.events.last()
    }

    /// The statuses and methods that it sends now.
    pub fn lines(&mut self) -> Vec<String> {
        let line = |message: &Message| match message.status() {
            Some(status) => status.to_string(),
            None => message.method().unwrap().to_string(),
        };
        self.sent().iter().map(|(_, message)| line(message)).collect()
    }

    pub fn deliver(&mut self, bytes: Bytes) {
        self.agent.receive(self.now, self.flow, Message::parse(bytes).unwrap());
    }

    /// Answers a request of the user agent.
    pub fn respond(&mut self, request: &Message, status: u16, tag: &str, more: &[(&str, &str)]) {
        let mut response = ResponseBuilder::to(request, status, None).to_tag(tag);
        if (200..300).contains(&status) {
            response = response.header("Contact", format!("<sip:{tag}@{PEER}>"));
        }
        for (name, value) in more {
            response = response.header(name, value);
        }
        self.deliver(response.finish());
    }

    /// Lets time pass.
    pub fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.agent.next_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.agent.timeout(self.now);
        }
        self.now = end;
    }

    /// Calls the user agent, which answers: (the session, the To value with its tag).
    pub fn talk(&mut self) -> (SessionId, String) {
        self.deliver(Request::new(Method::Invite, "talk").finish());
        let sent = self.sent();
        assert_eq!(sent.len(), 1);
        let session = self.events.iter().find_map(incoming).unwrap();
        self.agent.accept(self.now, session, sdp());
        let to = self.one().1.header(HeaderName::To).unwrap().to_owned();
        self.deliver(Request::new(Method::Ack, "talk-ack").to(&to).finish());
        self.sent();
        self.events.clear();
        (session, to)
    }
}

/// A request of the peer: `Request::new(Method::Bye, "branch").to(to).cseq(2).finish()`.
pub(super) struct Request {
    pub method: Method,
    pub branch: String,
    pub via: String,
    pub to: String,
    pub from_tag: String,
    pub call_id: String,
    pub cseq: u32,
    pub contact: String,
    pub more: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub fn new(method: Method, branch: &str) -> Self {
        Self {
            method,
            branch: branch.to_owned(),
            via: format!("SIP/2.0/UDP {PEER};rport"),
            to: "<sip:alice@tandem.test>".to_owned(),
            from_tag: "p1".to_owned(),
            call_id: "call-1".to_owned(),
            cseq: 1,
            contact: format!("<sip:peer@{PEER}>"),
            more: Vec::new(),
            body: None,
        }
    }

    pub fn to(mut self, to: &str) -> Self {
        self.to = to.to_owned();
        self
    }

    pub fn cseq(mut self, cseq: u32) -> Self {
        self.cseq = cseq;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.more.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn finish(self) -> Bytes {
        let mut request = RequestBuilder::new(self.method.as_str(), "sip:alice@10.0.0.1")
            .header("Via", format!("{};branch=z9hG4bK{}", self.via, self.branch))
            .header("From", format!("<sip:peer@example.com>;tag={}", self.from_tag))
            .header("To", self.to)
            .header("Call-ID", self.call_id)
            .header("CSeq", format!("{} {}", self.cseq, self.method));
        if !self.contact.is_empty() {
            request = request.header("Contact", self.contact);
        }
        if !self.more.iter().any(|(name, _)| name == "Max-Forwards") {
            request = request.header("Max-Forwards", "70");
        }
        for (name, value) in self.more {
            request = request.header(name, value);
        }
        match self.body {
            Some(body) => request.body("application/sdp", body).finish(),
            None => request.finish(),
        }
    }
}
