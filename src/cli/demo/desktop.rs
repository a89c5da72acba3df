//! A simulated agent desktop: a CTI client over a real WebSocket that prints every event it gets.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tandem_wire::{ClientRequest, EventFrame, PATH, SUBPROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::phone::number_of;

/// A connected desktop.
pub struct Desktop {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_reference: u32,
    last_sequence: u64,
    /// Every event so far, in order.
    pub seen: Vec<EventFrame>,
}

/// What went wrong, for people.
pub type DesktopError = String;

impl Desktop {
    /// Connects, opens the server and registers the DNs.
    pub async fn open(address: SocketAddr, api_key: &str, dns: &[String], deadline: Duration) -> Result<Self, DesktopError> {
        let mut request = format!("ws://{address}{PATH}")
            .into_client_request()
            .map_err(|error| error.to_string())?;
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .map_err(|error| format!("CTI: {error}"))?;
        let mut desktop = Self {
            socket,
            next_reference: 1,
            last_sequence: 0,
            seen: Vec::new(),
        };
        desktop
            .ask(ClientRequest::open_server("demo desktop", api_key), deadline)
            .await?;
        for dn in dns {
            desktop.ask(ClientRequest::register_address(dn), deadline).await?;
        }
        Ok(desktop)
    }

    /// Sends a request and waits for its answer.
    pub async fn ask(&mut self, request: ClientRequest, deadline: Duration) -> Result<EventFrame, DesktopError> {
        let reference = self.next_reference;
        self.next_reference += 1;
        let text = request.reference(reference).to_json();
        self.socket
            .send(Message::text(text))
            .await
            .map_err(|error| format!("CTI: {error}"))?;
        let answer = self
            .wait_for("the answer", deadline, |event| event.reference_id == Some(reference))
            .await?;
        match answer.error_code {
            Some(code) => Err(format!("refused with {code}: {}", answer.error_message.unwrap_or_default())),
            None => Ok(answer),
        }
    }

    /// Prints events until one fits. Those that came before count too.
    pub async fn wait_for(
        &mut self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&EventFrame) -> bool,
    ) -> Result<EventFrame, DesktopError> {
        let waiting = async {
            loop {
                let event = self.next().await?;
                if fits(&event) {
                    return Ok(event);
                }
            }
        };
        tokio::time::timeout(deadline, waiting)
            .await
            .unwrap_or_else(|_| Err(format!("{what} did not come in {deadline:?}")))
    }

    /// The next event, printed and checked against the chain of sequences.
    async fn next(&mut self) -> Result<EventFrame, DesktopError> {
        loop {
            let message = self.socket.next().await.ok_or("CTI: the server closed the socket")?;
            match message.map_err(|error| format!("CTI: {error}"))? {
                Message::Text(text) => {
                    let event = EventFrame::decode(&text).map_err(|error| format!("CTI: {error} in {text}"))?;
                    if event.previous != self.last_sequence {
                        return Err(format!(
                            "CTI: event {} came after {}, not {}",
                            event.sequence, event.previous, self.last_sequence
                        ));
                    }
                    self.last_sequence = event.sequence;
                    println!("{}", line(&event));
                    self.seen.push(event.clone());
                    return Ok(event);
                }
                Message::Close(frame) => return Err(format!("CTI: closed: {frame:?}")),
                _ => {}
            }
        }
    }
}

/// One event on one line.
fn line(event: &EventFrame) -> String {
    let mut out = format!("  {:>5}  {:<22}", event.sequence, event.event);
    let dn = |dn: &Option<String>| dn.as_deref().map(|dn| number_of(dn).to_owned());
    if let Some(this) = dn(&event.this_dn) {
        out += &format!(" {this:<6}");
    }
    if let Some(other) = dn(&event.other_dn) {
        out += &format!(
            " with {other:<6} as {:<12}",
            event.this_dn_role.as_deref().unwrap_or_default()
        );
    }
    if let Some(state) = event.call_state.as_deref().filter(|state| *state != "Ok") {
        out += &format!(" [{state}]");
    }
    if let Some(call) = &event.conn_id {
        out += &format!(" call {call}");
    }
    if let Some(error) = &event.error_message {
        out += &format!(" {error}");
    }
    out
}
