//! The stream of all events, byte by byte over a real connection.

use actix_web::rt::net::TcpStream;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fake::{Behaviour, PATIENCE, Seen, TestServer, quick_socket};
use crate::api::port::{Refused, Watch};
use tandem_model::DnId;

/// A stream, as its bytes come.
struct Stream {
    stream: TcpStream,
    text: String,
}

impl Stream {
    async fn open(server: &TestServer, path: &str, key: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    /// Reads until that has come.
    async fn until(&mut self, wanted: &str) -> &str {
        let mut bytes = [0; 4096];
        while !self.text.contains(wanted) {
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            let read = read
                .unwrap_or_else(|_| panic!("{wanted:?} did not come: {}", self.text))
                .unwrap();
            assert!(read > 0, "the stream ended before {wanted:?}: {}", self.text);
            self.text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        &self.text
    }
}

async fn watches(server: &TestServer) -> Watch {
    match server.seen().await {
        Seen::Watches(watch) => watch,
        _ => panic!("something other than a watcher"),
    }
}

fn start(behaviour: Behaviour) -> TestServer {
    TestServer::start(quick_socket(), behaviour)
}

fn frame(sequence: u64) -> Bytes {
    Bytes::from(format!(
        r#"{{"event":"EventRinging","sequence":{sequence},"previous":40,"thisDn":"sip:1@x"}}"#
    ))
}

#[actix_web::test]
async fn events_follow_the_greeting_and_carry_their_sequence_as_id() {
    let server = start(Behaviour::default());
    let mut stream = Stream::open(&server, "/v1/events", "both", "").await;
    let watch = watches(&server).await;
    assert_eq!((watch.since, &watch.epoch, &watch.dns), (None, &None, &None));
    watch.sink.deliver(frame(41));
    let text = stream.until("\"sequence\":41").await;
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    let hello = "id: 40\nevent: hello\ndata: {\"epoch\":\"epoch-1\",\"seq\":40,\"mode\":\"new\"}\n\n";
    assert!(text.contains(hello), "{text}");
    assert!(
        text.contains("id: 41\ndata: {\"event\":\"EventRinging\",\"sequence\":41,"),
        "{text}"
    );
    server.stop().await;
}

#[actix_web::test]
async fn it_goes_on_where_the_watcher_says_and_a_gap_is_told() {
    let server = start(Behaviour::default());
    let path = "/v1/events?since=20&epoch=epoch-1&dn=sip%3AAlice%40x,sip:bob@x";
    let mut stream = Stream::open(&server, path, "both", "").await;
    let watch = watches(&server).await;
    let dns = ["sip:alice@x", "sip:bob@x"].map(DnId::new);
    assert_eq!((watch.since, watch.epoch.as_deref()), (Some(20), Some("epoch-1")));
    assert_eq!(watch.dns, Some(dns.into_iter().collect()));
    stream.until("\"mode\":\"delta\"").await;
    // What a browser knows stands before what the address says.
    let mut stream = Stream::open(&server, "/v1/events?since=20", "both", "last-event-id: 3\r\n").await;
    assert_eq!(watches(&server).await.since, Some(3));
    let text = stream.until("event: gap").await;
    assert!(text.contains("\"mode\":\"gap\""), "{text}");
    stream.until("id: 10\nevent: gap\ndata: {\"from\":4,\"to\":10}\n\n").await;
    server.stop().await;
}

#[actix_web::test]
async fn who_is_cut_off_is_told_the_last_sequence() {
    let mut settings = quick_socket();
    settings.queue_capacity = 2;
    let server = TestServer::start(settings, Behaviour::default());
    let mut stream = Stream::open(&server, "/v1/events", "both", "").await;
    let watch = watches(&server).await;
    watch.sink.deliver(frame(41));
    watch.sink.close(4008, "too slow");
    let text = stream.until("event: closed").await;
    assert!(text.contains("\"sequence\":41"), "{text}");
    stream
        .until("data: {\"code\":4008,\"reason\":\"too slow\",\"seq\":41}\n\n")
        .await;
    server.client_goes().await;
    server.stop().await;
}

#[actix_web::test]
async fn it_wants_both_scopes_and_a_sensible_question() {
    let server = start(Behaviour::default());
    for (path, key, headers, status) in [
        ("/v1/events", "reader", "", "403"),
        ("/v1/events", "desktop", "", "403"),
        ("/v1/events", "nobody", "", "401"),
        ("/v1/events?since=x", "both", "", "400"),
        ("/v1/events?dn=", "both", "", "400"),
        ("/v1/events?filter=x", "both", "", "400"),
        ("/v1/events", "both", "last-event-id: abc\r\n", "400"),
    ] {
        let mut stream = Stream::open(&server, path, key, headers).await;
        let text = stream.until("\r\n\r\n").await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{path} {key}: {text}");
    }
    server.stop().await;
    let server = start(Behaviour {
        refuse: Some(Refused::TooMany),
        ..Behaviour::default()
    });
    let mut stream = Stream::open(&server, "/v1/events", "both", "").await;
    assert!(stream.until("\r\n\r\n").await.starts_with("HTTP/1.1 503"));
    server.stop().await;
}
