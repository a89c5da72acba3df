//! HTTP beside the CTI socket, byte by byte over a real connection.

use actix_web::rt::net::TcpStream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fake::{Behaviour, PATIENCE, TestServer, quick_socket};

/// An answer: status, head (lower case), body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }

    fn problem(&self) -> Value {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&json!("about:blank"), &json!(self.status))
        );
        problem
    }
}

async fn send(server: &TestServer, request: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("no answer in time")
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

async fn fetch(server: &TestServer, method: &str, path: &str, key: Option<&str>) -> Answer {
    let key = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
    send(
        server,
        &format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{key}\r\n"),
    )
    .await
}

async fn read(server: &TestServer, path: &str) -> Answer {
    fetch(server, "GET", path, Some("reader")).await
}

fn start(behaviour: Behaviour) -> TestServer {
    TestServer::start(quick_socket(), behaviour)
}

#[actix_web::test]
async fn health_says_which_check_fails() {
    let server = start(Behaviour::default());
    for path in ["/livez", "/healthz", "/readyz"] {
        let answer = fetch(&server, "GET", path, None).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")));
    }
    server.stop().await;
    let server = start(Behaviour {
        unready: true,
        ..Behaviour::default()
    });
    let answer = fetch(&server, "GET", "/readyz", None).await;
    assert_eq!(answer.status, 503);
    let expected =
        json!({"status": "failing", "checks": [{"name": "draining", "ok": false, "detail": "the server is draining"}]});
    assert_eq!(answer.json(), expected);
    assert_eq!(fetch(&server, "GET", "/livez", None).await.status, 503);
    server.stop().await;
}

#[actix_web::test]
async fn metrics_are_prometheus_text_and_may_want_a_key() {
    let server = start(Behaviour::default());
    let answer = fetch(&server, "GET", "/metrics", None).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(answer.body.contains("tandem_build_info 1"));
    server.stop().await;
    let server = start(Behaviour {
        metrics_require_key: true,
        ..Behaviour::default()
    });
    assert_eq!(fetch(&server, "GET", "/metrics", None).await.status, 401);
    assert_eq!(fetch(&server, "GET", "/metrics", Some("reader")).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn everything_under_v1_wants_a_key_that_may_read() {
    let server = start(Behaviour::default());
    for path in [
        "/v1/calls",
        "/v1/calls/1",
        "/v1/dns",
        "/v1/dns/x",
        "/v1/connectors",
        "/v1/nothing",
        "/v1",
    ] {
        let answer = fetch(&server, "GET", path, None).await;
        assert_eq!(
            (answer.status, &answer.problem()["code"]),
            (401, &json!("unauthorized")),
            "{path}"
        );
        assert!(answer.head.contains("www-authenticate: bearer"));
        assert_eq!(fetch(&server, "GET", path, Some("guess")).await.status, 401, "{path}");
        let answer = fetch(&server, "GET", path, Some("desktop")).await;
        assert_eq!((answer.status, &answer.problem()["code"]), (403, &json!("scope")), "{path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_connector_shows_itself_and_says_whose_the_rest_is() {
    let server = start(Behaviour {
        connector: true,
        ..Behaviour::default()
    });
    for path in ["/livez", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(fetch(&server, "GET", path, None).await.status, 200, "{path}");
    }
    let connectors = read(&server, "/v1/connectors").await.json();
    let expected = json!({"id": 2, "name": "c0", "pool": "p", "state": "Running", "conferences": 0, "transactions": 0, "dialogs": 0, "dns": 7,
        "endpoints": [{"uri": "sip:conf1@tandem.local", "idle": 1, "inUse": 2}]});
    assert_eq!(
        (&connectors["items"][0], connectors["items"][1].get("name")),
        (&expected, None)
    );
    assert_eq!(fetch(&server, "GET", "/v1/connectors", None).await.status, 401);
    assert_eq!(read(&server, "/v1/admin/drain").await.status, 403);
    for path in ["/v1/calls", "/v1/dns/x", "/v1/events", "/v1/cti"] {
        assert_eq!(fetch(&server, "GET", path, None).await.status, 401, "{path}");
        let answer = read(&server, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.problem()["detail"].as_str().unwrap().contains("its T-Server's"));
    }
    let document = fetch(&server, "GET", "/openapi.json", None).await.json();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "/livez",
        "/metrics",
        "/openapi.json",
        "/readyz",
        "/v1/admin/drain",
        "/v1/admin/quarantine",
        "/v1/admin/reload",
        "/v1/connectors",
    ];
    assert_eq!(paths, expected);
    server.stop().await;
}

#[actix_web::test]
async fn lists_come_in_pages() {
    let server = start(Behaviour::default());
    for (path, key, total) in [
        ("/v1/calls", "connId", 25),
        ("/v1/dns", "dn", 10),
        ("/v1/connectors", "id", 3),
    ] {
        let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
        loop {
            let page = read(&server, &format!("{path}{query}")).await.json();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item[key].clone()));
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), total, "{path}");
        let sorted = seen.windows(2).all(|pair| match (pair[0].as_u64(), pair[1].as_u64()) {
            (Some(left), Some(right)) => left < right,
            _ => pair[0].as_str() < pair[1].as_str(),
        });
        assert!(sorted, "{path}: {seen:?}");
    }
    assert_eq!(read(&server, "/v1/calls").await.json()["items"].as_array().unwrap().len(), 25);
    server.stop().await;
}

#[actix_web::test]
async fn one_call_and_one_dn_are_found_by_name() {
    let server = start(Behaviour::default());
    let call = read(&server, "/v1/calls/000000000000000A").await.json();
    assert_eq!(
        (&call["connId"], &call["parties"][0]["state"]),
        (&json!("000000000000000a"), &json!("Connected"))
    );
    for path in ["/v1/dns/sip:2001@tandem.local", "/v1/dns/SIP%3A2001%40tandem.local"] {
        assert_eq!(read(&server, path).await.json()["dn"], "sip:2001@tandem.local");
    }
    server.stop().await;
}

#[actix_web::test]
async fn errors_are_problem_documents_with_the_t_library_number_where_there_is_one() {
    let table = [
        ("GET", "/v1/calls/ff", 404, "no-call", json!(563)),
        ("GET", "/v1/calls/xyz", 400, "bad-conn-id", json!(56)),
        ("GET", "/v1/dns/sip:9@x", 404, "no-dn", json!(123)),
        ("GET", "/v1/dns/%ff%00", 404, "no-dn", json!(123)),
        ("GET", "/v1/calls?limit=0", 400, "bad-limit", Value::Null),
        ("GET", "/v1/calls?limit=x", 400, "bad-query", Value::Null),
        ("GET", "/v1/calls?sort=up", 400, "bad-query", Value::Null),
        ("GET", "/v1/calls?cursor=zz", 400, "bad-cursor", Value::Null),
        ("GET", "/v1/calls?cursor=7a7a", 400, "bad-cursor", Value::Null),
        ("GET", "/v1/nothing", 404, "not-found", Value::Null),
        ("GET", "/v1/", 404, "not-found", Value::Null),
        ("GET", "/", 404, "not-found", Value::Null),
        ("GET", "//v1//calls", 404, "not-found", Value::Null),
        ("GET", "/../etc/passwd", 404, "not-found", Value::Null),
        ("POST", "/v1/calls", 405, "method-not-allowed", Value::Null),
        ("DELETE", "/livez", 405, "method-not-allowed", Value::Null),
        ("OPTIONS", "/metrics", 405, "method-not-allowed", Value::Null),
        ("BREW", "/v1/dns", 405, "method-not-allowed", Value::Null),
        ("PUT", "/v1/cti", 405, "method-not-allowed", Value::Null),
    ];
    let server = start(Behaviour::default());
    for (method, path, status, code, error_code) in table {
        let answer = fetch(&server, method, path, Some("reader")).await;
        let problem = answer.problem();
        assert_eq!(
            (answer.status, problem["code"].as_str()),
            (status, Some(code)),
            "{method} {path}"
        );
        assert_eq!(
            problem.get("errorCode").cloned().unwrap_or_default(),
            error_code,
            "{method} {path}"
        );
        assert_eq!(status == 405, answer.head.contains("allow: get"), "{method} {path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_runtime_that_does_not_answer_is_503() {
    let server = start(Behaviour {
        unavailable: true,
        ..Behaviour::default()
    });
    for path in ["/v1/calls", "/v1/calls/1", "/v1/dns", "/v1/dns/x", "/v1/connectors"] {
        let answer = read(&server, path).await;
        assert_eq!((answer.status, &answer.problem()["code"]), (503, &json!("unavailable")));
        assert!(answer.head.contains("retry-after: 1"));
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_body_that_is_too_long_is_413() {
    let server = start(Behaviour::default());
    let answer = send(
        &server,
        "POST /v1/calls HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n",
    )
    .await;
    assert_eq!((answer.status, &answer.problem()["code"]), (413, &json!("body-too-large")));
    server.stop().await;
}

#[actix_web::test]
async fn what_is_no_http_is_refused_and_the_server_lives() {
    let server = start(Behaviour::default());
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(200_000));
    let many_headers = format!("GET /livez HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
    for request in [
        "\r\n\r\nnonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "INVITE sip:x SIP/2.0\r\n\r\n",
        &long_path,
        &many_headers,
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // The server may have hung up before all of it is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("the connection stays open");
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert_eq!(fetch(&server, "GET", "/livez", None).await.status, 200);
    }
    server.stop().await;
}

#[actix_web::test]
async fn connections_that_send_nothing_or_half_a_request_are_closed() {
    let server = start(Behaviour::default());
    let mut sockets = Vec::new();
    for index in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if index % 2 == 0 {
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: ").await.unwrap();
        }
        sockets.push(stream);
    }
    assert_eq!(fetch(&server, "GET", "/livez", None).await.status, 200);
    for mut stream in sockets {
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("the connection stays open");
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_head_request_has_the_head_only_and_answers_are_not_cached() {
    let server = start(Behaviour::default());
    let answer = fetch(&server, "HEAD", "/livez", None).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(answer.head.contains("cache-control: no-store") && answer.head.contains("x-content-type-options: nosniff"));
    server.stop().await;
}

#[actix_web::test]
async fn the_description_names_every_resource() {
    let server = start(Behaviour::default());
    let document = fetch(&server, "GET", "/openapi.json", None).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    for path in [
        "/v1/calls",
        "/v1/calls/{connId}",
        "/v1/dns",
        "/v1/dns/{dn}",
        "/v1/connectors",
        "/v1/admin/drain",
        "/v1/admin/reload",
        "/v1/admin/quarantine",
        "/metrics",
        "/livez",
        "/readyz",
    ] {
        assert!(paths.iter().any(|known| *known == path), "{path} of {paths:?}");
    }
    assert!(document["components"]["schemas"]["Problem"]["properties"]["errorCode"].is_object());
    server.stop().await;
}
