//! Faults on purpose, under `/v1/admin/fault`: only in a build with the feature `fault-injection`; in any other one there is nothing at this
//! path. Wants a key with the scope `admin`.
//!
//! `POST` makes one actor panic, or a connector stand still, or some messages get lost, late or doubled for a while; `GET` shows what is in
//! force, `DELETE` ends all of it. Each is bounded, and concerns this process alone.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tandem_actors::fault::{
    Chance, Direction, Effect, FaultControl, InForce, Medium, NotPaused, NotRuled, Pause, Rule, Target, Unknown, rule,
};
use tandem_model::{ClientId, ConferenceId, ConnectorId, DnId};
use utoipa::{OpenApi, ToSchema};

use super::Shared;
use super::problem::Problem;

/// What this build adds to the document.
#[derive(OpenApi)]
#[openapi(paths(in_force, inject, end_all))]
pub struct FaultDocument;

/// A fault that is to happen.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub(super) enum Order {
    /// An actor panics.
    Panic(PanicOrder),
    /// A connector stands still.
    Pause(PauseOrder),
    /// Messages get lost.
    Drop(MessageOrder),
    /// Messages come later.
    Delay(MessageOrder),
    /// Messages come twice.
    Duplicate(MessageOrder),
}

/// Which actor panics.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PanicOrder {
    /// Its kind.
    actor: ActorName,
    /// Which one: a ConnID for `call` and `room`, a conference's hex number for `conference`, a URI for `dn`, the number of a connector for
    /// `connector`, `registrar`, `connector_link` and `remote_link`, that of a connection for `client`. Without it: the first one there is.
    id: Option<String>,
    /// Of `call` and `conference` only: it panics on the next input that comes, and again when it takes that once more.
    #[serde(default)]
    twice: bool,
}

/// Kinds of actors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActorName {
    Call,
    Room,
    Conference,
    Connector,
    Registrar,
    ConnectorLink,
    RemoteLink,
    LinkServer,
    Dn,
    Client,
    EventLog,
    Lobby,
}

/// Which connector stands still.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseOrder {
    /// Its number.
    connector: u16,
    /// For how long, in milliseconds: 60,000 at most.
    for_ms: u64,
    /// Its whole thread, with its conferences and its link; else its own mailbox alone.
    #[serde(default = "yes")]
    whole_thread: bool,
}

/// Which messages, and what becomes of them.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageOrder {
    /// What kind of message.
    of: MediumName,
    /// Which way; without it both.
    direction: Option<DirectionName>,
    /// Of which connector; without it each one of this process, or each link.
    connector: Option<u16>,
    /// Each with this probability.
    probability: Option<f64>,
    /// The next ones, so many.
    next: Option<u64>,
    /// How long the fault is in force, in milliseconds: 600,000 at most.
    for_ms: u64,
    /// How much later messages come, in milliseconds: 60,000 at most. Of `delay` only.
    delay_ms: Option<u64>,
    /// What the dice begin with.
    #[serde(default)]
    seed: u64,
}

/// Kinds of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MediumName {
    Sip,
    Link,
}

/// Directions, as seen from this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DirectionName {
    In,
    Out,
}

/// What is in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct FaultStatus {
    /// What becomes of messages.
    messages: Vec<MessageFault>,
    /// Connectors that stand still.
    pauses: Vec<PausedConnector>,
}

/// What becomes of messages.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct MessageFault {
    /// `drop`, `delay` or `duplicate`.
    fault: &'static str,
    of: MediumName,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<DirectionName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    seed: u64,
    /// How many messages it has met.
    met: u64,
    /// How long it is in force yet, in milliseconds.
    remaining_ms: u64,
}

/// A connector that stands still.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PausedConnector {
    connector: u16,
    whole_thread: bool,
    /// For how long yet, in milliseconds.
    remaining_ms: u64,
}

fn yes() -> bool {
    true
}

/// Adds the resource to the `/v1` scope.
pub fn configure(scope: &mut web::ServiceConfig) {
    scope.service(
        web::resource("/admin/fault")
            .route(web::get().to(in_force))
            .route(web::post().to(inject))
            .route(web::delete().to(end_all))
            .default_service(web::to(|| async {
                Problem::method_not_allowed("GET, POST, DELETE").into_response()
            })),
    );
}

fn control(shared: &Shared) -> Result<FaultControl, Problem> {
    let control = shared.admin.as_ref().and_then(|admin| admin.faults());
    control.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no-admin",
            "this process is not administered over HTTP",
        )
    })
}

/// The faults that are in force.
#[utoipa::path(get, path = "/v1/admin/fault", security(("key" = [])),
    responses((status = 200, body = FaultStatus), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn in_force(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(FaultStatus::of(control(&shared)?.in_force())))
}

/// Makes something go wrong.
#[utoipa::path(post, path = "/v1/admin/fault", request_body = Order, security(("key" = [])),
    responses((status = 202, body = FaultStatus), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn inject(shared: web::Data<Shared>, body: web::Bytes) -> Result<HttpResponse, Problem> {
    let control = control(&shared)?;
    let order: Order = serde_json::from_slice(&body).map_err(|error| Problem::bad_request("bad-body", error.to_string()))?;
    match order {
        Order::Panic(order) => strike(&control, &order)?,
        Order::Pause(order) => {
            let pause = Pause {
                lasts: Duration::from_millis(order.for_ms),
                whole_thread: order.whole_thread,
            };
            control.pause(order.connector, pause).map_err(not_paused)?;
        }
        Order::Drop(order) => add(&control, &order, Effect::Drop)?,
        Order::Duplicate(order) => add(&control, &order, Effect::Duplicate)?,
        Order::Delay(order) => {
            let delay_ms = order.delay_ms.ok_or_else(|| bad("delay_ms: how much later messages come"))?;
            add(&control, &order, Effect::Delay(Duration::from_millis(delay_ms)))?;
        }
    }
    Ok(HttpResponse::Accepted().json(FaultStatus::of(control.in_force())))
}

/// Ends every fault that is in force.
#[utoipa::path(delete, path = "/v1/admin/fault", security(("key" = [])),
    responses((status = 200, body = FaultStatus), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn end_all(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    let control = control(&shared)?;
    control.end_all();
    Ok(HttpResponse::Ok().json(FaultStatus::of(control.in_force())))
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::bad_request("bad-body", detail.into())
}

fn strike(control: &FaultControl, order: &PanicOrder) -> Result<(), Problem> {
    let target = order.target(control)?;
    let nobody = |error: Unknown| Problem::not_found("no-actor", error.to_string());
    match (order.twice, order.actor) {
        (false, _) => control.strike(&target).map_err(nobody),
        (true, ActorName::Call | ActorName::Conference) => control.strike_twice(&target).map_err(nobody),
        (true, _) => Err(bad("twice: an actor of that kind takes nothing twice")),
    }
}

impl PanicOrder {
    fn target(&self, control: &FaultControl) -> Result<Target, Problem> {
        let connector = || self.number().map(|number| ConnectorId(number.unwrap_or_default()));
        let nobody = || Problem::not_found("no-actor", "there is no actor of that kind in this process");
        let first = |target: Option<Target>| target.ok_or_else(nobody);
        let conn_id = |id: &str| id.parse().map_err(|()| bad("id: a ConnID is 1 to 16 hex digits"));
        Ok(match (self.actor, self.id.as_deref()) {
            (ActorName::Call, Some(id)) => Target::Call(conn_id(id)?),
            (ActorName::Room, Some(id)) => Target::Room(conn_id(id)?),
            (ActorName::Conference, Some(id)) => {
                let id = u64::from_str_radix(id, 16).map_err(|_| bad("id: the number of a conference is 1 to 16 hex digits"))?;
                Target::Conference(ConferenceId(id))
            }
            (ActorName::Dn, Some(dn)) => Target::Dn(DnId::new(dn)),
            (ActorName::Client, Some(_)) => Target::Client(ClientId(self.number()?.unwrap_or_default())),
            (ActorName::Call, None) => first(control.first_call())?,
            (ActorName::Room, None) => first(control.first_room())?,
            (ActorName::Conference, None) => first(control.first_conference())?,
            (ActorName::Dn, None) => first(control.first_dn())?,
            (ActorName::Client, None) => first(control.first_client())?,
            (ActorName::Connector, None) => first(control.first_connector().map(Target::Connector))?,
            (ActorName::Registrar, None) => first(control.first_connector().map(Target::Registrar))?,
            (ActorName::Connector, Some(_)) => Target::Connector(connector()?),
            (ActorName::Registrar, Some(_)) => Target::Registrar(connector()?),
            (ActorName::ConnectorLink, _) => Target::ConnectorLink(connector()?),
            (ActorName::RemoteLink, _) => Target::RemoteLink(connector()?),
            (ActorName::LinkServer, None) => Target::LinkServer,
            (ActorName::EventLog, None) => Target::EventLog,
            (ActorName::Lobby, None) => Target::Lobby,
            (ActorName::LinkServer | ActorName::EventLog | ActorName::Lobby, Some(_)) => {
                return Err(bad("id: there is one actor of that kind, and it has none"));
            }
        })
    }

    fn number<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let number = self.id.as_deref().map(str::parse).transpose();
        number.map_err(|_| bad("id: a number is expected for an actor of that kind"))
    }
}

fn add(control: &FaultControl, order: &MessageOrder, effect: Effect) -> Result<(), Problem> {
    if order.delay_ms.is_some() && !matches!(effect, Effect::Delay(_)) {
        return Err(bad("delay_ms: of a delay only"));
    }
    let chance = match (order.probability, order.next) {
        (Some(probability), None) => Chance::Probability(probability),
        (None, Some(count)) => Chance::Next(count),
        _ => return Err(bad("either probability or next")),
    };
    let rule = Rule {
        medium: match order.of {
            MediumName::Sip => Medium::Sip,
            MediumName::Link => Medium::Link,
        },
        direction: order.direction.map(|direction| match direction {
            DirectionName::In => Direction::In,
            DirectionName::Out => Direction::Out,
        }),
        connector: order.connector,
        effect,
        chance,
        lasts: Duration::from_millis(order.for_ms),
        seed: order.seed,
    };
    control.add(rule).map_err(not_ruled)
}

fn not_paused(error: NotPaused) -> Problem {
    match error {
        NotPaused::Unknown => Problem::not_found("no-connector", error.to_string()),
        NotPaused::Lasts => bad(error.to_string()),
        NotPaused::Already => Problem::new(StatusCode::CONFLICT, "paused", error.to_string()),
    }
}

fn not_ruled(error: NotRuled) -> Problem {
    match error {
        NotRuled::Refused(rule::Refused::TooMany) => Problem::new(StatusCode::CONFLICT, "too-many-faults", error.to_string()),
        NotRuled::Refused(_) => bad(error.to_string()),
        NotRuled::NoLink => Problem::new(StatusCode::CONFLICT, "no-link", error.to_string()),
    }
}

impl FaultStatus {
    fn of(in_force: InForce) -> Self {
        let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let messages = in_force.rules.into_iter().map(|(rule, left, met)| {
            let (fault, delay_ms) = match rule.effect {
                Effect::Drop => ("drop", None),
                Effect::Delay(delay) => ("delay", Some(millis(delay))),
                Effect::Duplicate => ("duplicate", None),
            };
            let (probability, next) = match rule.chance {
                Chance::Probability(probability) => (Some(probability), None),
                Chance::Next(count) => (None, Some(count)),
            };
            MessageFault {
                fault,
                of: match rule.medium {
                    Medium::Sip => MediumName::Sip,
                    Medium::Link => MediumName::Link,
                },
                direction: rule.direction.map(|direction| match direction {
                    Direction::In => DirectionName::In,
                    Direction::Out => DirectionName::Out,
                }),
                connector: rule.connector,
                probability,
                next,
                delay_ms,
                seed: rule.seed,
                met,
                remaining_ms: millis(left),
            }
        });
        let pauses = in_force.pauses.into_iter().map(|(connector, pause, left)| PausedConnector {
            connector,
            whole_thread: pause.whole_thread,
            remaining_ms: millis(left),
        });
        Self {
            messages: messages.collect(),
            pauses: pauses.collect(),
        }
    }
}
