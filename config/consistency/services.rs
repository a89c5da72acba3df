//! The checks of `[media]`, `[conference]`, `[[conference_dn]]`, `[calls]` and `[[dial_plan]]`.

use super::Check;
use crate::registry::heading;
use crate::schema::NumberedUri;
use crate::suggestion;

impl Check<'_> {
    pub(super) fn media(&mut self) {
        let media = &self.config.media;
        let (first, last) = (media.port_first, media.port_last);
        if last < first {
            self.error(
                "media.port_last",
                format!("`port_last` = {last} is less than `port_first` = {first}"),
            );
        } else if first.next_multiple_of(2) >= last {
            let text = format!("the ports {first} to {last} hold no pair of an even port and the odd one above it");
            self.error("media.port_last", text);
        }
        match media.advertised {
            Some(address) if address.is_unspecified() => {
                self.error("media.advertised", format!("nobody can send to `advertised` = \"{address}\""));
            }
            Some(address) if address.is_ipv4() != media.bind.is_ipv4() => {
                let text = "`advertised` and `bind` are addresses of different families".to_owned();
                self.error("media.advertised", text);
            }
            None if media.bind.is_unspecified() => {
                let text = format!(
                    "`bind` = \"{}\" is no address that stands in session descriptions; set `advertised`",
                    media.bind
                );
                self.error("media.bind", text);
            }
            _ => {}
        }
        self.media_files();
        let listeners = &self.config.sip.listener;
        if media.bind.is_loopback() && listeners.iter().any(|listener| !listener.bind.ip().is_loopback()) {
            let text = format!(
                "`bind` = \"{}\": SIP comes from other machines, and audio cannot reach the media plane from there",
                media.bind
            );
            self.warning("media.bind", text);
        }
    }

    /// Warnings only: a configuration may be checked on a machine that has not the files.
    fn media_files(&mut self) {
        let media = &self.config.media;
        if let Some(file) = media.music.as_ref().filter(|file| !file.is_file()) {
            let text = format!(
                "`music` = \"{}\": there is no such file; `serve` refuses to start",
                file.display()
            );
            self.warning("media.music", text);
        }
        if let Some(directory) = media.music_directory.as_ref().filter(|directory| !directory.is_dir()) {
            let text = format!(
                "`music_directory` = \"{}\": there is no such directory; `serve` refuses to start",
                directory.display()
            );
            self.warning("media.music_directory", text);
        }
        if let Some(directory) = media.prompt_directory.as_ref().filter(|directory| !directory.is_dir()) {
            let text = format!(
                "`prompt_directory` = \"{}\": there is no such directory; a tone stands for its prompts",
                directory.display()
            );
            self.warning("media.prompt_directory", text);
        }
    }

    pub(super) fn session_timer(&mut self) {
        let sip = &self.config.sip;
        if sip.session_expires_s != 0 && sip.session_expires_s < sip.min_se_s {
            let (expires, min) = (sip.session_expires_s, sip.min_se_s);
            let text = format!("`session_expires_s` = {expires} is less than `min_se_s` = {min}; 0 asks for no session timer");
            self.error("sip.session_expires_s", text);
        }
    }

    pub(super) fn conferences(&mut self) {
        let config = self.config;
        let conference = &config.conference;
        match conference.uri_pattern.as_deref().and_then(NumberedUri::parse) {
            Some(_) if conference.count == 0 => {
                self.error("conference.uri_pattern", "there is a `uri_pattern` but no `count`".to_owned());
            }
            None if conference.count > 0 => {
                self.error("conference.count", "there is a `count` but no `uri_pattern`".to_owned());
            }
            Some(pattern) if conference.count > pattern.most() => {
                let text = format!("`count` = {} has more digits than `uri_pattern`", conference.count);
                self.error("conference.count", text);
            }
            _ => {}
        }
        for (n, dn) in config.conference_dn.iter().enumerate() {
            let at = format!("conference_dn[{n}]");
            self.host_is_ours(&format!("{at}.dn"), &dn.dn);
            let pin = (dn.pin.is_some(), dn.pin_file.is_some());
            let moderator = (dn.moderator_pin.is_some(), dn.moderator_pin_file.is_some());
            if pin == (true, true) {
                self.error(&at, format!("conference `{}` has both `pin` and `pin_file`", dn.dn));
            }
            if moderator == (true, true) {
                let text = format!("conference `{}` has both `moderator_pin` and `moderator_pin_file`", dn.dn);
                self.error(&at, text);
            }
            if pin == (false, false) && moderator != (false, false) {
                self.error(&at, format!("conference `{}` has a `moderator_pin` but no `pin`", dn.dn));
            }
            if dn.pin.is_some() && dn.pin == dn.moderator_pin {
                let text = format!("`pin` and `moderator_pin` of conference `{}` are the same", dn.dn);
                self.error(&format!("{at}.moderator_pin"), text);
            }
            if let Some(most) = dn.max_parties.filter(|most| *most > conference.max_parties) {
                let text = format!(
                    "`max_parties` = {most} is more than {} in [conference]",
                    conference.max_parties
                );
                self.error(&format!("{at}.max_parties"), text);
            }
        }
    }

    pub(super) fn dial_plans(&mut self) {
        let config = self.config;
        let in_force = config.calls.calling_method_dialplan.as_deref();
        self.dial_plan_exists("calls.calling_method_dialplan", in_force);
        for (n, plan) in config.dial_plan.iter().enumerate() {
            let of_pools = config.pools().filter_map(|pool| pool.calling_method_dialplan.as_deref());
            if !in_force.into_iter().chain(of_pools).any(|dn| dn == plan.dn) {
                let text = format!(
                    "the dial plan `{}` is never used: `calling_method_dialplan` of [calls] does not name it",
                    plan.dn
                );
                self.warning(&format!("dial_plan[{n}]"), text);
            }
        }
    }

    pub(super) fn dial_plan_exists(&mut self, at: &str, wanted: Option<&str>) {
        let config = self.config;
        let plans = || config.dial_plan.iter().map(|plan| plan.dn.as_str());
        if let Some(wanted) = wanted.filter(|wanted| !plans().any(|dn| dn == *wanted)) {
            let hint = suggestion::nearest(wanted, plans()).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            self.error(
                at,
                format!("`{wanted}` is none of the DNs in {}{hint}", heading("dial_plan[]")),
            );
        }
    }
}
