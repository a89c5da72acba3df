//! `[calls]` and `[[dial_plan]]`: how destinations are called, and which calls T-Server keeps hold of.

use serde::{Deserialize, Serialize};

/// `[calls]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// The dial plan that says which destinations are called back-to-back: the `dn` of a `[[dial_plan]]`.
    pub calling_method_dialplan: Option<String>,
    /// The caller identity of back-to-back calls.
    pub cpn: Option<String>,
    /// Whether a call may go on when none of its parties is a DN of ours.
    pub allow_pass_through_calls: PassThrough,
    /// Whether calls that a DN's own client makes or gets are handled.
    pub handle_direct_calls: HandleDirectCalls,
    /// Which media of such calls are handled.
    pub handle_direct_calls_media: Vec<DirectMedia>,
}

/// `[[dial_plan]]`: a dial-plan DN (`service-type = dialplan` of the seed).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialPlan {
    /// The SIP URI that names it, lower case once loaded.
    pub dn: String,
    /// The patterns of destinations (`dial-plan-rule-1` and so on of the seed).
    pub rules: Vec<String>,
    /// How a destination that matches is called.
    pub calling_method: CallingMethod,
    /// The caller identity of calls to these destinations.
    pub cpn: Option<String>,
}

/// How a destination is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallingMethod {
    /// By a back-to-back leg.
    B2b,
    /// Out of the conference.
    Dialout,
}

/// Whether a call may go on when none of its parties is a DN of ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PassThrough {
    /// It may.
    All,
    /// It is released, and a request that would make one is refused.
    None,
    /// It may where a party is at another T-Server.
    Iscc,
}

/// Whether calls that a DN's own client makes or gets are handled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum HandleDirectCalls {
    /// Always.
    #[serde(rename = "true")]
    Always,
    /// Never.
    #[serde(rename = "false")]
    Never,
    /// While an agent is logged in.
    #[serde(rename = "on-login")]
    OnLogin,
}

/// Which media of direct calls are handled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectMedia {
    /// All of them.
    All,
    /// Audio and video.
    Av,
    /// Instant messages.
    Im,
}
