//! Requests outside sessions: REGISTER, OPTIONS, MESSAGE and their like, both ways.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand::Rng;

use super::api::{ClientOutcome, ClientRequestId, OutgoingRequest, ServerRequestId, UaEvent};
use super::client::{ClientUser, Unanswered};
use super::draft::{self, Draft, Path};
use super::server::ServerUser;
use super::{UserAgent, ident};
use crate::dialog::Routes;
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};

impl UserAgent {
    /// Sends a request outside any session; `UaEvent::Response` follows.
    pub fn request(&mut self, now: Instant, request: OutgoingRequest) -> ClientRequestId {
        let id = ClientRequestId(self.next_id());
        let user = ClientUser::Request(id);
        if matches!(request.method, Method::Invite | Method::Ack | Method::Cancel) {
            self.unanswered(now, user, Unanswered::Unreachable);
            return id;
        }
        let tag = ident::tag(self.config.shard, self.rng.random());
        let draft = Draft {
            method: request.method,
            routes: Routes::new(),
            from: draft::name_addr(&request.from.0, request.from.1.as_deref(), Some(&tag)),
            to: draft::name_addr(&request.to, None, None),
            call_id: ident::call_id(self.config.shard, &mut self.rng),
            cseq: 1,
            headers: request.headers,
            body: request
                .body
                .map(|(content_type, body)| (content_type.as_ref().to_owned().into(), body)),
            credentials: request.credentials.map(Box::new),
            authorization: None,
            authorizations: 0,
            followed: false,
            interval: None,
            next_hop: request.uri.clone(),
            uri: request.uri,
            path: Path {
                flow: request.flow,
                by_uri: request.flow.is_none(),
                ..Path::default()
            },
        };
        self.launch(now, Box::new(draft), user);
        id
    }

    pub(super) fn on_request_response(&mut self, id: ClientRequestId, response: &Message) {
        self.event(UaEvent::Response {
            id,
            outcome: ClientOutcome::Response(response.clone()),
        });
    }

    pub(super) fn on_request_unanswered(&mut self, id: ClientRequestId) {
        self.event(UaEvent::Response {
            id,
            outcome: ClientOutcome::Timeout,
        });
    }

    /// Gives a request to the shell, which answers it with [`UserAgent::respond`].
    pub(super) fn hand_up(&mut self, now: Instant, flow: Flow, request: Message, method: &Method) {
        let id = ServerRequestId(self.next_id());
        let transaction = self.start_server(now, flow, &request, method, ServerUser::Request(id));
        self.requests.insert(id, (transaction, request.clone()));
        self.event(UaEvent::Request { id, request, flow });
    }

    /// Answers a request outside a session with a final response. One that came too late is ignored and counted. A 2xx to OPTIONS gets Allow
    /// and Accept here, where the headers have none.
    pub fn respond(
        &mut self,
        now: Instant,
        id: ServerRequestId,
        status: u16,
        headers: &[(Arc<str>, Arc<str>)],
        body: Option<(&str, Bytes)>,
    ) {
        let Some((transaction, request)) = self.requests.remove(&id) else {
            self.stats.commands_ignored += 1;
            return;
        };
        let Some(flow) = self.servers.get(&transaction).map(|transaction| transaction.source) else {
            return;
        };
        let status = if (200..700).contains(&status) { status } else { 500 };
        let tag = self.stateless_tag(&request);
        let mut response = self.response(&request, flow, status).to_tag(&tag);
        for (ours, value) in [(HeaderName::Allow, draft::ALLOW), (HeaderName::Accept, draft::SDP)] {
            let given = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(ours.as_str()));
            if request.is(&Method::Options) && status < 300 && !given {
                response = response.header(ours, value);
            }
        }
        for (name, value) in headers {
            response = response.header(name, value);
        }
        if let Some((content_type, body)) = body {
            response = response.body(content_type, body);
        }
        if request.is(&Method::Options) && self.forget_server(transaction) {
            // Anybody may ask, and the same question gets the same answer again (s.8.2.7).
            return self.send_stateless(flow, &request, response);
        }
        self.reply(now, transaction, status, response.finish());
    }

    /// Refuses a request outside a session and keeps nothing of it, as [`UserAgent::turn_away`] does with an INVITE. A copy of the request is
    /// a new one.
    pub fn turn_away_request(&mut self, id: ServerRequestId, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        let Some((transaction, request)) = self.requests.remove(&id) else {
            self.stats.commands_ignored += 1;
            return;
        };
        let Some(flow) = self.servers.get(&transaction).map(|transaction| transaction.source) else {
            return;
        };
        self.forget_server(transaction);
        let status = if (300..700).contains(&status) { status } else { 500 };
        self.refuse_with(flow, &request, status, headers);
    }
}
