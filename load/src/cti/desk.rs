//! One CTI connection: a WebSocket with its reading and its writing task.
//!
//! Invariant: frames are delivered in the order they came, each with the time it was read; requests leave in the order they
//! were given. What a frame means is not known here.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The subprotocol of the CTI protocol.
const SUBPROTOCOL: &str = "tandem.cti.v1";
/// Requests that wait for the socket: a desk has few.
const QUEUE: usize = 4_096;
/// What is read at once.
const READ_BYTES: usize = 8_192;

/// What comes from a connection.
pub enum FromDesk {
    /// A text frame.
    Frame(String),
    /// The connection is gone, and why.
    Closed(String),
}

/// The sending end of a connection. Dropping it closes the connection.
pub struct Desk {
    queue: mpsc::Sender<String>,
}

impl Desk {
    /// Connects, and starts the two tasks.
    pub async fn connect(url: &str, deliver: impl Fn(FromDesk) + 'static) -> Result<Self, String> {
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        // Events are small: the default buffer of 128 KiB for each connection would be cleared for every read.
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let connected = tokio_tungstenite::connect_async_with_config(request, Some(config), true).await;
        let (stream, _) = connected.map_err(|error| format!("{url}: {error}"))?;
        let (queue, queued) = mpsc::channel(QUEUE);
        let (write, read) = stream.split();
        tokio::task::spawn_local(write_frames(write, queued));
        tokio::task::spawn_local(read_frames(read, deliver));
        Ok(Self { queue })
    }

    /// A desk whose requests a test reads.
    #[cfg(test)]
    pub fn for_test() -> (Self, mpsc::Receiver<String>) {
        let (queue, queued) = mpsc::channel(QUEUE);
        (Self { queue }, queued)
    }

    /// Sends a request; false where the connection is gone or stuck.
    pub fn send(&self, request: String) -> bool {
        self.queue.try_send(request).is_ok()
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn write_frames(mut to: futures_util::stream::SplitSink<Socket, Message>, mut queued: mpsc::Receiver<String>) {
    while let Some(request) = queued.recv().await {
        if to.send(Message::text(request)).await.is_err() {
            return;
        }
    }
    // The reading task sees the answer to this close, or the end of the connection.
    let _ = to.close().await;
}

async fn read_frames(mut from: futures_util::stream::SplitStream<Socket>, deliver: impl Fn(FromDesk)) {
    loop {
        match from.next().await {
            Some(Ok(Message::Text(text))) => deliver(FromDesk::Frame(text.as_str().to_owned())),
            Some(Ok(Message::Close(frame))) => {
                let reason = frame.map_or("no reason".to_owned(), |frame| format!("{} {}", frame.code, frame.reason));
                return deliver(FromDesk::Closed(reason));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return deliver(FromDesk::Closed(error.to_string())),
            None => return deliver(FromDesk::Closed("end of stream".to_owned())),
        }
    }
}
