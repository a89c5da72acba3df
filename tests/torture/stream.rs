//! SIP over TCP: pieces of any size, several messages at once, lengths that lie, and connections that say nothing.

use crate::rig::server::{Server, Setup};
use crate::rig::sip::{Connection, Dialog};

fn options(server: &Server, connection: &Connection, cseq: u32) -> String {
    let uri = format!("sip:{}", server.sip);
    let mut dialog = Dialog::new("sip:stream@127.0.0.1", &uri, connection.address);
    dialog.transport = "TCP";
    dialog.request("OPTIONS", &uri, cseq, "", "")
}

async fn is_answered(connection: &mut Connection, cseq: u32, status: u16) {
    let answer = connection.final_response(&format!("{cseq} OPTIONS")).await;
    let answer = answer.unwrap_or_else(|| panic!("closed before the answer to {cseq}"));
    assert_eq!(answer.status(), Some(status), "{}", answer.start);
}

/// The server closes; what it says before is given.
async fn is_closed(connection: &mut Connection) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(message) = connection.receive().await {
        said.push(message.start);
    }
    said
}

#[tokio::test]
async fn a_message_that_comes_byte_by_byte_is_one_message() {
    let mut server = Setup::new().start().await;
    let mut connection = Connection::open(server.sip).await;
    for byte in options(&server, &connection, 1).bytes() {
        connection.send([byte]).await;
        tokio::task::yield_now().await;
    }
    is_answered(&mut connection, 1, 200).await;
    drop(connection);
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_keep_alive_is_answered() {
    let mut server = Setup::new().start().await;
    let mut connection = Connection::open(server.sip).await;
    connection.ping().await;
    let text = options(&server, &connection, 1);
    connection.send(text).await;
    is_answered(&mut connection, 1, 200).await;
    connection.ping().await;
    drop(connection);
    server.alive_and_idle().await;
}

#[tokio::test]
async fn merged_and_split_messages_are_told_apart() {
    let mut server = Setup::new().start().await;
    let mut connection = Connection::open(server.sip).await;
    let body = "\0".repeat(300);
    let mut stream = String::from("\r\n\r\n");
    for cseq in 1..=10 {
        let text = options(&server, &connection, cseq);
        let with_body = text.replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: 300\r\n\r\n{body}"));
        stream.push_str(if cseq % 2 == 0 { &with_body } else { &text });
        stream.push_str("\r\n\r\n");
    }
    let (first, rest) = stream.split_at(stream.len() / 3);
    connection.send(first).await;
    tokio::task::yield_now().await;
    connection.send(rest).await;
    let mut answered = Vec::new();
    while answered.len() < 10 {
        let message = connection.receive().await.expect("an answer");
        assert_eq!(message.status(), Some(200), "{}", message.start);
        answered.push(message.header("CSeq").to_owned());
    }
    answered.sort();
    answered.dedup();
    assert_eq!(answered.len(), 10);
    drop(connection);
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_length_that_cannot_be_is_refused_and_the_connection_closed() {
    let mut server = Setup::new().start().await;
    for length in [
        "-1",
        "-999",
        "99999999999999999999",
        "4294967296",
        "2147483648",
        "10000000",
        "12a",
        "",
    ] {
        let mut connection = Connection::open(server.sip).await;
        let text = options(&server, &connection, 1).replace("Content-Length: 0", &format!("Content-Length: {length}"));
        connection.send(&text).await;
        let said = is_closed(&mut connection).await;
        let refused = said
            .iter()
            .all(|line| line.starts_with("SIP/2.0 400") || line.starts_with("SIP/2.0 413"));
        assert!(refused, "Content-Length {length:?}: {said:?}");
    }
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_message_without_a_length_is_refused_and_the_connection_closed() {
    let mut server = Setup::new().start().await;
    let mut connection = Connection::open(server.sip).await;
    let text = options(&server, &connection, 1).replace("Content-Length: 0\r\n", "");
    connection.send(&text).await;
    let said = is_closed(&mut connection).await;
    assert!(said.iter().all(|line| line.starts_with("SIP/2.0 400")), "{said:?}");
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_header_without_an_end_is_cut_off() {
    let mut server = Setup::new().start().await;
    let mut connection = Connection::open(server.sip).await;
    let mut open = connection.send("OPTIONS sip:x SIP/2.0\r\nX: ").await;
    for _ in 0..64 {
        open = open && connection.send([b'a'; 65_536]).await;
    }
    assert!(
        !open
            || is_closed(&mut connection)
                .await
                .iter()
                .all(|line| !line.starts_with("SIP/2.0 2"))
    );
    server.alive_and_idle().await;
}

#[tokio::test]
async fn what_is_not_sip_at_all_is_cut_off() {
    let mut server = Setup::new().start().await;
    for nonsense in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.sip).await;
        connection.send(nonsense).await;
        is_closed(&mut connection).await;
    }
    server.alive_and_idle().await;
}

#[tokio::test]
async fn idle_and_half_open_connections_are_closed_in_time_and_others_served() {
    let mut server = Setup::new().sip("tcp_idle_timeout_s = 5").start().await;
    let mut silent = Connection::open(server.sip).await;
    let mut stopped = Connection::open(server.sip).await;
    let text = options(&server, &stopped, 1);
    stopped.send(&text[..text.len() / 2]).await;
    let mut busy = Connection::open(server.sip).await;
    let text = options(&server, &busy, 1);
    busy.send(text).await;
    is_answered(&mut busy, 1, 200).await;
    server.alive().await;
    assert!(is_closed(&mut silent).await.is_empty());
    is_closed(&mut stopped).await;
    drop(busy);
    server.alive_and_idle().await;
}

#[tokio::test]
async fn more_connections_from_one_source_than_allowed_are_closed_at_once() {
    let mut server = Setup::new().sip("tcp_max_connections_per_source = 3").start().await;
    let mut kept = Vec::new();
    for cseq in 1..=3 {
        let mut connection = Connection::open(server.sip).await;
        let text = options(&server, &connection, cseq);
        connection.send(text).await;
        is_answered(&mut connection, cseq, 200).await;
        kept.push(connection);
    }
    let mut refused = Connection::open(server.sip).await;
    assert!(is_closed(&mut refused).await.is_empty());
    kept.clear();
    server.alive_and_idle().await;
}
