//! The conference event package's document: `application/conference-info+xml` (RFC 4575), from plain values.
//!
//! A subscriber gets a *full* document first, then *partial* ones with what changed, each with a `version` one higher than the one before
//! in its subscription (s.4.4, s.5.1); one that misses a version asks for a full one by refreshing. In a partial document an element with
//! `state="full"` replaces what the subscriber knew of it, one with `deleted` removes it (s.4.4).
//!
//! Invariants: what is written is well-formed XML 1.0, whatever the texts hold (control characters are left out); elements
//! stand in the order of the schema (s.8); a document has at most [`MAX_USERS`] users.
//!
//! What it does not do: read such documents, compute differences, describe sidebars, host information and service URIs, hide anything.

use bytes::Bytes;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// The event package (RFC 4575 s.3.1).
pub const PACKAGE: &str = "conference";

/// The Content-Type (s.9.2).
pub const CONTENT_TYPE: &str = "application/conference-info+xml";

/// How many users one document lists; the rest is in the user count.
pub const MAX_USERS: usize = 512;

/// The longest text of one element or attribute [bytes].
const MAX_TEXT_BYTES: usize = 1_024;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";

/// How much of an element a document tells (s.4.4).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum State {
    /// All of it.
    #[default]
    Full,
    /// What changed.
    Partial,
    /// It is no more.
    Deleted,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Deleted => "deleted",
        }
    }
}

/// The document. A part that is `None`, or a list that is empty, is left out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ConferenceInfo {
    /// The URI of the conference.
    pub entity: String,
    /// The document's number in its subscription.
    pub version: u32,
    /// How much it tells.
    pub state: State,
    /// What the conference is.
    pub description: Option<Description>,
    /// How it is.
    pub conference: Option<ConferenceState>,
    /// Who is in it.
    pub users: Vec<User>,
}

/// `conference-description` (s.5.3).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Description {
    /// Its name.
    pub display_text: Option<String>,
    /// What it is about.
    pub subject: Option<String>,
    /// URIs to dial in by, with what they are for (`participation`).
    pub uris: Vec<(String, String)>,
    /// How many users may be in it.
    pub maximum_user_count: Option<u32>,
}

/// `conference-state` (s.5.5).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ConferenceState {
    /// How many users are in it.
    pub user_count: u32,
    /// Whether it has begun.
    pub active: bool,
    /// Whether it lets nobody in.
    pub locked: bool,
}

/// `user` (s.5.6).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct User {
    /// Its URI, which names it.
    pub entity: String,
    /// How much is told of it.
    pub state: State,
    /// Its name.
    pub display_text: Option<String>,
    /// Its roles (`moderator`, `participant`, ...).
    pub roles: Vec<String>,
    /// Its devices.
    pub endpoints: Vec<Endpoint>,
}

/// `endpoint` (s.5.7).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Endpoint {
    /// Its URI, which names it.
    pub entity: String,
    /// How much is told of it.
    pub state: State,
    /// Its name.
    pub display_text: Option<String>,
    /// Where it is.
    pub status: Option<EndpointStatus>,
    /// How it came in.
    pub joining_method: Option<JoiningMethod>,
    /// How it left.
    pub disconnection_method: Option<DisconnectionMethod>,
    /// Its streams.
    pub media: Vec<Media>,
}

/// `status` of an endpoint (s.5.7.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are those of the schema")]
pub enum EndpointStatus {
    Pending,
    DialingOut,
    DialingIn,
    Alerting,
    OnHold,
    Connected,
    MutedViaFocus,
    Disconnecting,
    Disconnected,
}

impl EndpointStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::DialingOut => "dialing-out",
            Self::DialingIn => "dialing-in",
            Self::Alerting => "alerting",
            Self::OnHold => "on-hold",
            Self::Connected => "connected",
            Self::MutedViaFocus => "muted-via-focus",
            Self::Disconnecting => "disconnecting",
            Self::Disconnected => "disconnected",
        }
    }
}

/// `joining-method` (s.5.7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are those of the schema")]
pub enum JoiningMethod {
    DialedIn,
    DialedOut,
    FocusOwner,
}

impl JoiningMethod {
    fn as_str(self) -> &'static str {
        match self {
            Self::DialedIn => "dialed-in",
            Self::DialedOut => "dialed-out",
            Self::FocusOwner => "focus-owner",
        }
    }
}

/// `disconnection-method` (s.5.7.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are those of the schema")]
pub enum DisconnectionMethod {
    Departed,
    Booted,
    Failed,
    Busy,
}

impl DisconnectionMethod {
    fn as_str(self) -> &'static str {
        match self {
            Self::Departed => "departed",
            Self::Booted => "booted",
            Self::Failed => "failed",
            Self::Busy => "busy",
        }
    }
}

/// `media` (s.5.8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// Names it within the conference.
    pub id: String,
    /// `audio`, `video`, `text`, `message`.
    pub kind: String,
    /// Which way it flows, seen from the endpoint.
    pub status: MediaStatus,
}

/// `status` of a stream (s.5.8.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are those of the schema")]
pub enum MediaStatus {
    RecvOnly,
    SendOnly,
    SendRecv,
    Inactive,
}

impl MediaStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::RecvOnly => "recvonly",
            Self::SendOnly => "sendonly",
            Self::SendRecv => "sendrecv",
            Self::Inactive => "inactive",
        }
    }
}

impl ConferenceInfo {
    /// The document, in UTF-8.
    pub fn write(&self) -> Bytes {
        let mut xml = Xml(Writer::new(Vec::with_capacity(1_024)));
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        let version = self.version.to_string();
        let attributes = [
            ("xmlns", NAMESPACE),
            ("entity", &*self.entity),
            ("state", self.state.as_str()),
            ("version", &*version),
        ];
        xml.element("conference-info", &attributes, |xml| {
            if let Some(description) = &self.description {
                xml.element("conference-description", &[], |xml| description.write(xml));
            }
            if let Some(conference) = &self.conference {
                xml.element("conference-state", &[], |xml| {
                    xml.text("user-count", &conference.user_count.to_string());
                    xml.text("active", if conference.active { "true" } else { "false" });
                    xml.text("locked", if conference.locked { "true" } else { "false" });
                });
            }
            if !self.users.is_empty() {
                // A partial document's list is partial as well: it names those that changed.
                let listed = if self.users.len() > MAX_USERS {
                    State::Partial
                } else {
                    self.state
                };
                xml.element("users", &[("state", listed.as_str())], |xml| {
                    self.users.iter().take(MAX_USERS).for_each(|user| user.write(xml));
                });
            }
        });
        xml.0.into_inner().into()
    }
}

impl Description {
    fn write(&self, xml: &mut Xml) {
        xml.optional("display-text", self.display_text.as_deref());
        xml.optional("subject", self.subject.as_deref());
        if !self.uris.is_empty() {
            xml.element("conf-uris", &[], |xml| {
                for (uri, purpose) in &self.uris {
                    xml.element("entry", &[], |xml| {
                        xml.text("uri", uri);
                        xml.text("purpose", purpose);
                    });
                }
            });
        }
        let count = self.maximum_user_count.map(|count| count.to_string());
        xml.optional("maximum-user-count", count.as_deref());
    }
}

impl User {
    fn write(&self, xml: &mut Xml) {
        let attributes = [("entity", &*self.entity), ("state", self.state.as_str())];
        xml.element("user", &attributes, |xml| {
            xml.optional("display-text", self.display_text.as_deref());
            if !self.roles.is_empty() {
                xml.element("roles", &[], |xml| self.roles.iter().for_each(|role| xml.text("entry", role)));
            }
            self.endpoints.iter().for_each(|endpoint| endpoint.write(xml));
        });
    }
}

impl Endpoint {
    fn write(&self, xml: &mut Xml) {
        let attributes = [("entity", &*self.entity), ("state", self.state.as_str())];
        xml.element("endpoint", &attributes, |xml| {
            xml.optional("display-text", self.display_text.as_deref());
            xml.optional("status", self.status.map(EndpointStatus::as_str));
            xml.optional("joining-method", self.joining_method.map(JoiningMethod::as_str));
            let left = self.disconnection_method.map(DisconnectionMethod::as_str);
            xml.optional("disconnection-method", left);
            for media in &self.media {
                xml.element("media", &[("id", &*media.id)], |xml| {
                    xml.text("type", &media.kind);
                    xml.text("status", media.status.as_str());
                });
            }
        });
    }
}

/// A writer into memory, which does not fail.
struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn event(&mut self, event: Event<'_>) {
        let written = self.0.write_event(event);
        debug_assert!(written.is_ok(), "writing to memory does not fail");
    }

    fn element(&mut self, name: &'static str, attributes: &[(&'static str, &str)], content: impl FnOnce(&mut Self)) {
        let mut start = BytesStart::new(name);
        for (attribute, value) in attributes {
            start.push_attribute((*attribute, &*legal(value)));
        }
        self.event(Event::Start(start));
        content(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.element(name, &[], |xml| xml.event(Event::Text(BytesText::new(&legal(text)))));
    }

    fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }
}

/// The characters that XML 1.0 can carry (s.2.2) and a name or URI may have, as many as fit.
fn legal(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT_BYTES);
    let is_legal = |character: &char| !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}');
    text.get(..end).unwrap_or_default().chars().filter(is_legal).collect()
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;

    use super::*;

    fn sample() -> ConferenceInfo {
        ConferenceInfo {
            entity: "sip:conf1@tandem.test".to_owned(),
            version: 3,
            state: State::Full,
            description: Some(Description {
                display_text: Some("Q&A <weekly>".to_owned()),
                subject: None,
                uris: vec![("sip:conf1@tandem.test".to_owned(), "participation".to_owned())],
                maximum_user_count: Some(30),
            }),
            conference: Some(ConferenceState {
                user_count: 1,
                active: true,
                locked: false,
            }),
            users: vec![User {
                entity: "sip:bob@tandem.test".to_owned(),
                state: State::Full,
                display_text: Some("Bob".to_owned()),
                roles: vec!["moderator".to_owned()],
                endpoints: vec![Endpoint {
                    entity: "sip:bob@10.0.0.9".to_owned(),
                    status: Some(EndpointStatus::OnHold),
                    joining_method: Some(JoiningMethod::DialedIn),
                    media: vec![Media {
                        id: "1".to_owned(),
                        kind: "audio".to_owned(),
                        status: MediaStatus::SendRecv,
                    }],
                    ..Endpoint::default()
                }],
            }],
        }
    }

    #[test]
    fn a_full_document_has_the_elements_of_the_schema_in_its_order() {
        let document = sample().write();
        assert_eq!(
            std::str::from_utf8(&document).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
             entity=\"sip:conf1@tandem.test\" state=\"full\" version=\"3\"><conference-description><display-text>Q&amp;A &lt;weekly&gt;\
             </display-text><conf-uris><entry><uri>sip:conf1@tandem.test</uri><purpose>participation</purpose></entry></conf-uris>\
             <maximum-user-count>30</maximum-user-count></conference-description><conference-state><user-count>1</user-count>\
             <active>true</active><locked>false</locked></conference-state><users state=\"full\"><user entity=\"sip:bob@tandem.test\" \
             state=\"full\"><display-text>Bob</display-text><roles><entry>moderator</entry></roles><endpoint \
             entity=\"sip:bob@10.0.0.9\" state=\"full\"><status>on-hold</status><joining-method>dialed-in</joining-method>\
             <media id=\"1\"><type>audio</type><status>sendrecv</status></media></endpoint></user></users></conference-info>"
        );
    }

    #[test]
    fn a_partial_document_tells_who_left_and_nothing_else() {
        let document = ConferenceInfo {
            entity: "sip:conf1@tandem.test".to_owned(),
            version: 4,
            state: State::Partial,
            users: vec![User {
                entity: "sip:bob@tandem.test".to_owned(),
                state: State::Deleted,
                ..User::default()
            }],
            ..ConferenceInfo::default()
        };
        let document = document.write();
        let text = std::str::from_utf8(&document).unwrap();
        assert!(text.ends_with(
            "state=\"partial\" version=\"4\"><users state=\"partial\"><user entity=\"sip:bob@tandem.test\" state=\"deleted\"></user>\
             </users></conference-info>"
        ));
    }

    #[test]
    fn a_list_that_is_too_long_says_that_it_is_not_whole() {
        let mut info = sample();
        info.users = vec![User::default(); MAX_USERS + 1];
        let document = info.write();
        let text = std::str::from_utf8(&document).unwrap();
        assert_eq!(text.matches("<user ").count(), MAX_USERS);
        assert!(text.contains("<users state=\"partial\">"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_texts_are_the_document_is_well_formed_and_says_them(text in "(\\PC|[\u{0}-\u{1f}]|[<>&'\"]){0,40}") {
            let mut info = sample();
            info.entity.clone_from(&text);
            info.users[0].display_text = Some(text.clone());
            let document = info.write();
            let mut reader = Reader::from_reader(&*document);
            let mut depth = 0;
            let mut read = String::new();
            let mut inside = false;
            loop {
                match reader.read_event().expect("well-formed") {
                    Event::Eof => break,
                    Event::Start(start) => {
                        inside = depth == 3 && start.name().as_ref() == "display-text";
                        depth += 1;
                        for attribute in start.attributes() {
                            attribute.expect("well-formed");
                        }
                    }
                    Event::End(_) => {
                        depth -= 1;
                        inside = false;
                    }
                    Event::Text(part) if inside => read.push_str(&part),
                    Event::GeneralRef(name) if inside => {
                        read.push(match &*name {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            other => panic!("{other:?}"),
                        });
                    }
                    _ => {}
                }
            }
            proptest::prop_assert_eq!(depth, 0);
            proptest::prop_assert_eq!(read, legal(&text));
        }
    }
}
