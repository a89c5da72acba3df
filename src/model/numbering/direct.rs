//! Which direct calls are handled: those that a DN's own phone makes or gets, not asked for by a client (seed 002 lines 2330-2402).
//!
//! The DN's own setting counts before the application's, and an override before both: a desktop knows in which mode its phone runs, and says
//! so for as long as it is connected (seed 002 lines 2361-2386). Pure questions: who overrides what is [`crate::dn`]'s to know.

use serde::{Deserialize, Serialize};

use crate::{KvList, KvValue, TError, TErrorCode};

/// The extension with [`HandleDirectCalls`]: of RegisterAddress an override, of EventRegistered and EventAddressInfo what is in force.
pub const HANDLE_DIRECT_CALLS: &str = "handle-direct-calls";
/// The same with [`DirectMedia`]: `all`, `av`, `im`, or several of them with commas.
pub const HANDLE_DIRECT_CALLS_MEDIA: &str = "handle-direct-calls-media";

/// When calls of a DN's own client are handled (`handle-direct-calls`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub enum HandleDirectCalls {
    /// Always.
    #[default]
    Always,
    /// Never.
    Never,
    /// While an agent is logged in there.
    OnLogin,
}

/// Which media of them are handled (`handle-direct-calls-media`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DirectMedia {
    /// Audio and video.
    pub av: bool,
    /// Instant messages.
    pub im: bool,
}

impl Default for DirectMedia {
    /// All.
    fn default() -> Self {
        Self { av: true, im: true }
    }
}

/// Which direct calls of a DN are handled: the DN's own setting, else the application's; a client may override both for its session
/// (seed 002 lines 2369-2388).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct DirectCalls {
    /// When.
    pub handle: HandleDirectCalls,
    /// Which media.
    pub media: DirectMedia,
}

impl DirectCalls {
    /// Whether a direct audio call is handled.
    pub fn handles_audio(self, agent_logged_in: bool) -> bool {
        self.media.av && self.handles(agent_logged_in)
    }

    /// Whether a direct exchange of messages is handled.
    pub fn handles_messages(self, agent_logged_in: bool) -> bool {
        self.media.im && self.handles(agent_logged_in)
    }

    fn handles(self, agent_logged_in: bool) -> bool {
        match self.handle {
            HandleDirectCalls::Always => true,
            HandleDirectCalls::Never => false,
            HandleDirectCalls::OnLogin => agent_logged_in,
        }
    }

    /// What holds under an override.
    pub fn under(self, by: DirectOverride) -> Self {
        Self {
            handle: by.handle.unwrap_or(self.handle),
            media: by.media.unwrap_or(self.media),
        }
    }

    /// Writes it into the extensions of an event.
    pub fn describe(self, extensions: &mut KvList) {
        extensions.set(HANDLE_DIRECT_CALLS, self.handle.name());
        extensions.set(HANDLE_DIRECT_CALLS_MEDIA, self.media.name());
    }
}

/// What a client wants instead of the configured settings; what it does not name stays as configured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct DirectOverride {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<HandleDirectCalls>,
    /// Which media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<DirectMedia>,
}

impl DirectOverride {
    /// What the extensions of a request ask for: both settings in one, as one request locks both (seed 002 line 2382). `None`: nothing.
    pub fn from_extensions(extensions: &KvList) -> Result<Option<Self>, TError> {
        let handle = extensions.value(HANDLE_DIRECT_CALLS).map(|value| match text(value) {
            Some("true") => Ok(HandleDirectCalls::Always),
            Some("false") => Ok(HandleDirectCalls::Never),
            Some("on-login") => Ok(HandleDirectCalls::OnLogin),
            _ => Err(invalid(HANDLE_DIRECT_CALLS, "`true`, `false`, `on-login`")),
        });
        let media = extensions.value(HANDLE_DIRECT_CALLS_MEDIA).map(|value| {
            let media = text(value).and_then(DirectMedia::from_text);
            media.ok_or_else(|| invalid(HANDLE_DIRECT_CALLS_MEDIA, "`all`, `av`, `im`, or several of them with commas"))
        });
        let wanted = Self {
            handle: handle.transpose()?,
            media: media.transpose()?,
        };
        Ok((wanted != Self::default()).then_some(wanted))
    }
}

impl HandleDirectCalls {
    /// As the option and the extension have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "true",
            Self::Never => "false",
            Self::OnLogin => "on-login",
        }
    }
}

impl DirectMedia {
    /// As the option and the extension have it.
    pub fn name(self) -> &'static str {
        match (self.av, self.im) {
            (true, true) => "all",
            (true, false) => "av",
            (false, true) => "im",
            (false, false) => "none",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut media = Self { av: false, im: false };
        for word in text.split(',').map(str::trim) {
            match word {
                "all" => media = Self::default(),
                "av" => media.av = true,
                "im" => media.im = true,
                _ => return None,
            }
        }
        Some(media)
    }
}

fn text(value: &KvValue) -> Option<&str> {
    match value {
        KvValue::Str(text) => Some(text),
        KvValue::Int(_) | KvValue::List(_) => None,
    }
}

fn invalid(key: &str, valid: &str) -> TError {
    TError::new(TErrorCode::InvalidAttribute, format!("extensions.{key}: valid are {valid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_calls_are_handled_always_never_or_while_somebody_is_logged_in() {
        let of = |handle, media| DirectCalls { handle, media };
        let im = DirectMedia { av: false, im: true };
        assert!(DirectCalls::default().handles_audio(false) && DirectCalls::default().handles_messages(false));
        assert!(!of(HandleDirectCalls::Never, DirectMedia::default()).handles_audio(true));
        let on_login = of(HandleDirectCalls::OnLogin, DirectMedia::default());
        assert!(on_login.handles_audio(true) && !on_login.handles_audio(false));
        let messages = of(HandleDirectCalls::Always, im);
        assert!(messages.handles_messages(false) && !messages.handles_audio(false));
    }

    fn asked(pairs: &[(&str, &str)]) -> Result<Option<DirectOverride>, TErrorCode> {
        let extensions = KvList::from_iter(pairs.iter().copied());
        DirectOverride::from_extensions(&extensions).map_err(|error| error.code)
    }

    /// Seed 002 lines 2369, 2377-2386.
    #[test]
    fn one_request_overrides_both_settings_or_one_of_them() {
        let configured = DirectCalls::default();
        let (handle, media) = (HANDLE_DIRECT_CALLS, HANDLE_DIRECT_CALLS_MEDIA);
        for (pairs, expected) in [
            (&[(handle, "false")][..], ("false", "all")),
            (&[(handle, "true"), (media, "im")], ("true", "im")),
            (&[(handle, "on-login"), (media, "av, im")], ("on-login", "all")),
            (&[(media, "av")], ("true", "av")),
        ] {
            let wanted = asked(pairs).unwrap().unwrap();
            let held = configured.under(wanted);
            assert_eq!((held.handle.name(), held.media.name()), expected, "{pairs:?}");
        }
        assert_eq!(asked(&[("dnd", "false")]), Ok(None));
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for (key, value) in [
            (HANDLE_DIRECT_CALLS, "no"),
            (HANDLE_DIRECT_CALLS, ""),
            (HANDLE_DIRECT_CALLS_MEDIA, "audio"),
            (HANDLE_DIRECT_CALLS_MEDIA, "av,"),
        ] {
            assert_eq!(asked(&[(key, value)]), Err(TErrorCode::InvalidAttribute), "{key}={value}");
        }
        let number = KvList::from_iter([(HANDLE_DIRECT_CALLS, 1_i64)]);
        assert!(DirectOverride::from_extensions(&number).is_err());
    }
}
