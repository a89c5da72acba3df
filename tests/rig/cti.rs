//! A CTI client as a desktop has it: requests out, frames in, and a proof at each frame that none was missed.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tandem_wire::model::{ConnId, EventName};
use tandem_wire::{ClientRequest, EventFrame, PATH, SUBPROTOCOL};
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::server::API_KEY;
use super::wait::SOON;

/// A connection to the CTI server.
pub struct Desk {
    socket: WebSocketStream<TcpStream>,
    previous: u64,
    next_reference: u32,
    /// Every event frame that came, as text.
    pub frames: Vec<String>,
    /// The epoch and the session that EventServerConnected named.
    pub greeting: Option<(String, String)>,
}

/// How a connection ended, or what came on it.
#[derive(Debug)]
pub enum Arrival {
    /// A text frame.
    Text(String),
    /// The server closed, with this code.
    Closed(Option<u16>),
}

impl Desk {
    /// Connects, without a word yet. `receive_buffer` makes the socket's buffer small, for clients that do not read.
    pub async fn connect(server: SocketAddr, receive_buffer: Option<u32>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("a small buffer");
        }
        let stream = socket.connect(server).await.expect("a connection");
        let mut request = format!("ws://{server}{PATH}").into_client_request().expect("a request");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
        Self {
            socket,
            previous: 0,
            next_reference: 1,
            frames: Vec::new(),
            greeting: None,
        }
    }

    /// Connects and opens the server.
    pub async fn open(server: SocketAddr) -> Self {
        let mut desk = Self::connect(server, None).await;
        let answer = desk.ask(ClientRequest::open_server("rig", API_KEY)).await;
        assert!(answer.is(EventName::EventServerConnected), "{answer:?}");
        desk
    }

    /// Connects, opens the server and registers on these DNs.
    pub async fn on(server: SocketAddr, dns: &[&str]) -> Self {
        let mut desk = Self::open(server).await;
        for dn in dns {
            let answer = desk.ask(ClientRequest::register_address(dn)).await;
            assert!(answer.is(EventName::EventRegistered), "{answer:?}");
        }
        desk
    }

    /// Loses the connection without a word, and resumes on another one. Frames go on where they were. The answer is EventServerConnected.
    pub async fn comes_back(mut self, server: SocketAddr) -> (Self, EventFrame) {
        let (epoch, session) = self.greeting.take().expect("a desk that was open");
        let mut again = Self::connect(server, None).await;
        again.frames = std::mem::take(&mut self.frames);
        let last = self.previous;
        drop(self);
        let open = ClientRequest::open_server("rig", API_KEY)
            .resume(&epoch, last)
            .session(&session);
        let answer = again.ask(open).await;
        (again, answer)
    }

    /// Sends a raw message; says whether it went out.
    pub async fn send(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// Sends a request and returns its reference id.
    pub async fn request(&mut self, request: ClientRequest) -> u32 {
        let reference = self.next_reference;
        self.next_reference += 1;
        let frame = request.reference(reference).to_json();
        assert!(self.send(Message::text(frame)).await, "the request does not go out");
        reference
    }

    /// Sends a request and waits for the frame that carries its reference id. Frames before it are kept in [`Self::frames`].
    pub async fn ask(&mut self, request: ClientRequest) -> EventFrame {
        let reference = self.request(request).await;
        loop {
            let frame = self.event().await;
            if frame.reference_id == Some(reference) {
                return frame;
            }
        }
    }

    /// What comes next.
    pub async fn arrival(&mut self) -> Arrival {
        loop {
            let next = timeout(SOON, self.socket.next())
                .await
                .unwrap_or_else(|_| panic!("nothing came; so far:\n{}", self.frames.join("\n")));
            match next {
                Some(Ok(Message::Text(text))) => return Arrival::Text(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Arrival::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Arrival::Closed(None),
            }
        }
    }

    /// The close code; what comes before it is passed over.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Arrival::Closed(code) = self.arrival().await {
                return code;
            }
        }
    }

    /// The next event. Its `previous` must name the event before it.
    pub async fn event(&mut self) -> EventFrame {
        let text = match self.arrival().await {
            Arrival::Text(text) => text,
            Arrival::Closed(code) => panic!("the server closed with {code:?}; so far:\n{}", self.frames.join("\n")),
        };
        let frame = EventFrame::decode(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if frame.is(EventName::EventServerConnected) {
            // After `delta` it stands where the client left off, else it starts a chain.
            let delta = frame.resume.as_deref() == Some("delta");
            assert_eq!(frame.previous, if delta { frame.sequence } else { 0 }, "{text}");
            self.greeting = frame.epoch.clone().zip(frame.session.clone());
        } else {
            assert_eq!(frame.previous, self.previous, "a frame was missed before {text}");
            assert!(frame.sequence > frame.previous, "the sequence does not grow: {text}");
        }
        self.previous = frame.sequence;
        self.frames.push(text);
        frame
    }

    /// The next event with this name about this DN; others are kept in [`Self::frames`].
    pub async fn expect(&mut self, name: EventName, this_dn: &str) -> EventFrame {
        loop {
            let frame = self.event().await;
            if frame.is(name) && frame.this_dn.as_deref() == Some(this_dn) {
                return frame;
            }
        }
    }

    /// Nothing more about a call: an answer to a question that goes the same way as the events comes right after the last of them.
    pub async fn settled(&mut self) {
        let answer = self.ask(ClientRequest::query_server()).await;
        assert!(answer.is(EventName::EventServerInfo), "{answer:?}");
    }

    /// The call that a frame is about.
    pub fn call_of(frame: &EventFrame) -> ConnId {
        frame.call().unwrap_or_else(|| panic!("no ConnID: {frame:?}"))
    }
}
