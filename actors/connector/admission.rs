//! Who may call and register: digest, trusted sources, trunks.
//!
//! Invariant: a request is taken under a DN of ours only if its source is trusted for that DN or its digest is that DN's own.
//! Known and unknown users are answered alike, so that users cannot be found out. A source that guesses is held up.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tandem_model::DnId;
use tandem_model::link::{CallerId, Presentation};
use tandem_sip::digest::Algorithm;
use tandem_sip::digest::server::{Challenger, Secret, username_of};
use tandem_sip::digest::throttle::{Throttle, ThrottleConfig, Verdict};
use tandem_sip::identity::{Claims, Identity, Privacy, Trust};
use tandem_sip::message::{HeaderName, Message, Uri};

use crate::devices::{Devices, Trunk, contains};
use crate::directory::Directory;
use crate::metrics::Metrics;

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission<T> {
    /// It is taken as coming from this one.
    Admit(T),
    /// It is answered with this status and these headers.
    Refuse {
        /// The status.
        status: u16,
        /// Headers: challenges, Retry-After.
        headers: Vec<(Arc<str>, Arc<str>)>,
    },
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The device, or the trunk and the number behind it.
    pub id: CallerId,
    /// How far that holds, and who may be shown it.
    pub presentation: Presentation,
    /// By which of its addresses a device wants to be known.
    pub preferred: Option<DnId>,
    /// The privacy that it asks for.
    pub privacy: Privacy,
}

/// The caller of an INVITE that was let in.
pub type Admitted = Admission<Caller>;

/// Checks requests against devices and trunks.
pub struct Authenticator {
    directory: Arc<Directory>,
    challenger: Challenger,
    throttle: Throttle,
    require_auth: bool,
}

impl Authenticator {
    /// An authenticator with the given digest policy.
    pub fn new(directory: Arc<Directory>, challenger: Challenger, throttle: ThrottleConfig, require_auth: bool) -> Self {
        Self {
            directory,
            challenger,
            throttle: Throttle::new(throttle),
            require_auth,
        }
    }

    /// The caller of a new INVITE: of a trunk that is trusted with it, whom it asserts; of any other, whom From names; a device of ours is
    /// itself, whatever it says (RFC 3325 s.5, s.6). More privacy than there is, where nothing less will do, is refused (RFC 3323 s.5).
    pub fn caller(&mut self, now: Instant, request: &Message, source: IpAddr) -> Admitted {
        let Ok(from) = request.from() else { return refuse(400) };
        let Ok(uri) = Uri::parse(from.uri) else { return refuse(400) };
        let devices = self.directory.live.devices();
        let dn = devices.dn_of(&uri);
        let admitted = match devices.trunk_from(source) {
            Some(trunk) if devices.device(&dn).is_none() => Admission::Admit(through(&devices, trunk, request, dn)),
            _ => self.calling_device(now, request, source, dn),
        };
        match admitted {
            Admission::Admit(caller) if caller.privacy.asks_too_much() => refuse(500),
            admitted => admitted,
        }
    }

    fn calling_device(&mut self, now: Instant, request: &Message, source: IpAddr, from: DnId) -> Admitted {
        let claims = Claims::of(request, Trust::Untrusted);
        let wish = claims.preferred.as_ref().and_then(|identity| Uri::parse(&identity.uri).ok());
        let devices = self.directory.live.devices();
        let preferred = wish.map(|uri| devices.dn_of(&uri));
        let dn = if claims.from.as_ref().is_some_and(Identity::is_anonymous) {
            behind_anonymous(&devices, request, preferred.as_ref()).unwrap_or(from)
        } else {
            from
        };
        match self.device(now, request, source, dn) {
            Admission::Admit(dn) => Admission::Admit(Caller {
                preferred: preferred.filter(|preferred| *preferred != dn),
                id: CallerId::Extension(dn),
                // Who has proved to be this DN is vouched for by us.
                presentation: presentation(claims.privacy, Trust::Trusted),
                privacy: claims.privacy,
            }),
            Admission::Refuse { status, headers } => Admission::Refuse { status, headers },
        }
    }

    /// The device that registers, or sends any other request, as `dn`.
    pub fn device(&mut self, now: Instant, request: &Message, source: IpAddr, dn: DnId) -> Admission<DnId> {
        let devices = self.directory.live.devices();
        let device = devices.device(&dn);
        if let Some(device) = device
            && (!self.require_auth || contains(&device.trusted_sources, source))
        {
            return Admission::Admit(dn);
        }
        let Some(authorization) = request.header(HeaderName::Authorization) else {
            return self.challenge(now, false, &dn);
        };
        if let Verdict::Blocked { retry_after } = self.throttle.check(now, source, dn.user()) {
            let seconds = retry_after.as_secs().max(1).to_string();
            return Admission::Refuse {
                status: 503,
                headers: vec![("Retry-After".into(), seconds.into())],
            };
        }
        let method = request.method();
        let method = method.as_ref().map_or("", |method| method.as_str());
        let uri = request.uri().unwrap_or_default();
        let password = device.and_then(|device| device.password.clone());
        // Only the DN's own user name is looked up, so another user's right password is a wrong one here.
        let lookup = |user: &str| {
            password
                .filter(|_| user.eq_ignore_ascii_case(dn.user()))
                .map(Secret::Password)
        };
        let algorithms = devices.algorithms(&dn);
        match self
            .challenger
            .verify_with(now, authorization, (method, uri), algorithms, lookup)
        {
            Ok(_) => {
                self.throttle.succeeded(now, source, dn.user());
                Admission::Admit(dn)
            }
            Err(denied) if denied.is_bad_request() => refuse(400),
            Err(denied) => {
                if denied.is_guess() {
                    self.throttle.failed(now, source, dn.user());
                    Metrics::of_process().auth_failures.increment(1);
                    tracing::warn!(%source, "wrong credentials");
                }
                self.challenge(now, denied.is_stale(), &dn)
            }
        }
    }

    /// A DN that has algorithms of its own can be told by its challenge from one that is not there; that is their price.
    fn challenge<T>(&mut self, now: Instant, stale: bool, dn: &DnId) -> Admission<T> {
        let values = self
            .challenger
            .challenge_with(now, stale, self.directory.live.devices().algorithms(dn));
        let headers = values
            .into_iter()
            .map(|value| ("WWW-Authenticate".into(), value.into()))
            .collect();
        Admission::Refuse { status: 401, headers }
    }
}

/// Who calls through a trunk.
fn through(devices: &Devices, trunk: &Trunk, request: &Message, from: DnId) -> Caller {
    let trust = trust(trunk);
    let claims = Claims::of(request, trust);
    let called = |identity: &Identity| Uri::parse(&identity.uri).ok().map(|uri| devices.dn_of(&uri));
    let known = claims.caller();
    let id = CallerId::Trunk {
        trunk: trunk.dn.clone(),
        number: known.and_then(called).unwrap_or(from),
        name: known.and_then(|identity| identity.display.clone()),
    };
    Caller {
        id,
        presentation: presentation(claims.privacy, trust),
        preferred: None,
        privacy: claims.privacy,
    }
}

/// The device of ours that calls without a name: the one that it prefers to be, or whose password it brings. It has yet to prove it.
fn behind_anonymous(devices: &Devices, request: &Message, preferred: Option<&DnId>) -> Option<DnId> {
    let user = request.header(HeaderName::Authorization).and_then(username_of);
    let proving = user.and_then(|user| devices.dn_of_user(&user));
    let mut known = [preferred.cloned(), proving].into_iter().flatten();
    known.find(|dn| devices.device(dn).is_some())
}

/// The digest algorithms as the SIP layer names them.
pub fn algorithms(configured: &[tandem_config::DigestAlgorithm]) -> Vec<Algorithm> {
    configured
        .iter()
        .map(|algorithm| match algorithm {
            tandem_config::DigestAlgorithm::Sha256 => Algorithm::Sha256,
            tandem_config::DigestAlgorithm::Md5 => Algorithm::Md5,
        })
        .collect()
}

/// Whether a trunk is trusted with who calls.
pub(super) fn trust(trunk: &Trunk) -> Trust {
    if trunk.trusted_identity {
        Trust::Trusted
    } else {
        Trust::Untrusted
    }
}

/// Where From is made anonymous at the caller's wish, who it was must not be read in another header either: "user" brings "id" along.
fn presentation(mut privacy: Privacy, vouched: Trust) -> Presentation {
    privacy.id |= privacy.user;
    Presentation {
        unasserted: vouched == Trust::Untrusted,
        privacy: privacy.value().map(Arc::from),
    }
}

fn refuse<T>(status: u16) -> Admission<T> {
    Admission::Refuse {
        status,
        headers: Vec::new(),
    }
}
