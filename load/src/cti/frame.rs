//! Request frames written, event frames read: as much of the CTI protocol as desktops of a load need.
//!
//! Requests are those of tandem-wire's client side. Events are read into a slimmer type than that: ten thousand a second must
//! cost little, and only these attributes are checked.

use serde::Deserialize;
use tandem_wire::ClientRequest;

/// The attributes of an event that are checked or measured. Unknown attributes are passed over.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventFrame {
    /// The name, such as `EventRinging`.
    pub event: String,
    /// Its place in the total order.
    #[serde(default)]
    pub sequence: u64,
    /// The sequence of this client's event before.
    #[serde(default)]
    pub previous: u64,
    /// The DN it is about.
    pub this_dn: Option<String>,
    /// The other DN.
    pub other_dn: Option<String>,
    /// The call.
    pub conn_id: Option<String>,
    /// The call that the party was known under before.
    pub previous_conn_id: Option<String>,
    /// The request it answers.
    pub reference_id: Option<u32>,
    /// The error code (EventError).
    pub error_code: Option<u64>,
    /// The error text (EventError).
    pub error_message: Option<String>,
    /// The epoch of the server's sequences (EventServerConnected).
    pub epoch: Option<String>,
    /// What became of a resume (EventServerConnected).
    pub resume: Option<String>,
    /// What the client calls itself when it resumes (EventServerConnected).
    pub session: Option<String>,
}

impl EventFrame {
    /// Reads one text frame.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// OpenServer.
pub fn open_server(api_key: &str) -> String {
    ClientRequest::open_server("tandem-load", api_key).reference(1).to_json()
}

/// OpenServer of a client that goes on after the event with this sequence.
pub fn resume_server(api_key: &str, epoch: &str, session: &str, sequence: u64) -> String {
    let request = ClientRequest::open_server("tandem-load", api_key).resume(epoch, sequence);
    request.session(session).reference(1).to_json()
}

/// QueryServer.
pub fn query_server(reference: u32) -> String {
    ClientRequest::query_server().reference(reference).to_json()
}

/// RegisterAddress.
pub fn register_address(reference: u32, this_dn: &str) -> String {
    ClientRequest::register_address(this_dn).reference(reference).to_json()
}

/// MakeCall.
pub fn make_call(reference: u32, this_dn: &str, other_dn: &str) -> String {
    ClientRequest::make_call(this_dn, other_dn).reference(reference).to_json()
}

/// ReleaseCall; none where the identity is not one.
pub fn release_call(reference: u32, this_dn: &str, conn_id: &str) -> Option<String> {
    let conn_id = conn_id.parse().ok()?;
    Some(ClientRequest::release_call(this_dn, conn_id).reference(reference).to_json())
}

/// ClearCall; none where the identity is not one.
pub fn clear_call(reference: u32, this_dn: &str, conn_id: &str) -> Option<String> {
    let conn_id = conn_id.parse().ok()?;
    Some(ClientRequest::clear_call(this_dn, conn_id).reference(reference).to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_requests_are_json() {
        let text = r#"{"event":"EventRinging","sequence":11,"previous":7,"time":"2026-01-31T12:00:00.1Z","thisDn":"sip:b@t",
            "thisDnRole":"Destination","otherDn":"sip:a@t","connId":"0000000000000a01","userData":{}}"#;
        let event = EventFrame::read(text).unwrap();
        assert_eq!(
            (event.sequence, event.previous, event.conn_id.as_deref()),
            (11, 7, Some("0000000000000a01"))
        );
        assert!(EventFrame::read("{}").is_err());
        assert_eq!(release_call(4, "sip:a@t", "y"), None);
        for request in [
            open_server("k"),
            resume_server("k", "e", "s", 7),
            query_server(5),
            register_address(2, "sip:a@t"),
            make_call(3, "sip:a@t", "sip:b@t"),
            release_call(4, "sip:a@t", "0000000000000a01").unwrap(),
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(&request).unwrap()["request"].is_string());
        }
    }
}
