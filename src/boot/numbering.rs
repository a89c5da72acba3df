//! From the configuration to the call model's numbering: DNs, dial rules, dial plans, dial-in conferences.

use std::sync::Arc;

use tandem_config::{
    Announce, CallingMethod as ConfiguredMethod, ConferenceDn, Config, DnFolder, HandleDirectCalls as ConfiguredDirect,
};
use tandem_config::{DirectMedia as ConfiguredMedia, PassThrough as ConfiguredPassThrough, Secret};
use tandem_model::DnId;
use tandem_model::numbering::{
    CallingMethod, CallingPolicy, DestinationRule, DialPlan, DialRule, DirectCalls, DirectMedia, DnConfig, HandleDirectCalls,
    Numbering, PassThrough, PoolPolicy,
};
use tandem_model::room::{Pin, RoomSettings};

/// Makes the numbering, or says what is wrong.
pub(super) fn numbering(config: &Config) -> Result<Numbering, Vec<String>> {
    let mut builder = Numbering::builder()
        .calling(calling(config)?)
        .pass_through(pass_through(config.calls.allow_pass_through_calls))
        .direct_calls(DirectCalls {
            handle: handle(config.calls.handle_direct_calls),
            media: media(&config.calls.handle_direct_calls_media),
        });
    for pool in config.pools().filter_map(DnFolder::pool) {
        builder = builder.pool(pool, policy(&config.of_pool(pool))?);
    }
    for domain in &config.sip.domains {
        builder = builder.domain(domain);
    }
    let pool_of = |folder: &Option<String>| config.pool_of(folder.as_deref()).and_then(DnFolder::pool).map(Arc::from);
    for dn in config.dns() {
        let pool = pool_of(&dn.folder);
        builder = builder.dn(DnConfig { pool, ..extension(dn) });
    }
    for trunk in &config.trunk {
        let pool = pool_of(&trunk.folder);
        builder = builder.dn(DnConfig {
            pool,
            ..DnConfig::trunk(trunk.dn.as_str())
        });
    }
    for dn in &config.conference_dn {
        let mut entry = DnConfig::conference(dn.dn.as_str(), room(dn, config));
        entry.pool = pool_of(&dn.folder);
        entry.extension_number = dn.number.as_deref().map(Into::into);
        entry.display_name = dn.display_name.as_deref().map(Into::into);
        builder = builder.dn(entry);
    }
    for rule in &config.dial_rule {
        let mut entry = DialRule::new(&rule.pattern, rule.trunk.as_deref().unwrap_or_default());
        entry.strip = rule.strip;
        entry.prepend = rule.prepend.as_str().into();
        entry.allow = rule.allow;
        entry.from_trunk = rule.from_trunk;
        builder = builder.rule(entry);
    }
    builder
        .build()
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn extension(dn: tandem_config::Dn) -> DnConfig {
    let mut entry = DnConfig::extension(dn.dn.as_str());
    entry.auto_answer = dn.auto_answer;
    entry.extension_number = dn.number.map(Into::into);
    entry.display_name = dn.display_name.map(Into::into);
    entry.handle_direct_calls = dn.handle_direct_calls.map(handle);
    entry.direct_media = dn.handle_direct_calls_media.as_deref().map(media);
    entry.pass_through = dn.allow_pass_through_calls.map(pass_through);
    entry
}

/// What the T-Server does for a pool with this configuration.
fn policy(of_pool: &Config) -> Result<PoolPolicy, Vec<String>> {
    Ok(PoolPolicy {
        calling: calling(of_pool)?,
        pass_through: pass_through(of_pool.calls.allow_pass_through_calls),
    })
}

fn room(dn: &ConferenceDn, config: &Config) -> RoomSettings {
    let pool = config.pool_of(dn.folder.as_deref());
    let conference = pool.map_or_else(|| config.conference.clone(), |pool| pool.conference(&config.conference));
    let pin = |secret: &Option<Secret>| secret.as_ref().map(|secret| Pin::new(secret.reveal()));
    RoomSettings {
        pin: pin(&dn.pin),
        moderator_pin: pin(&dn.moderator_pin),
        max_parties: dn.resolved_max_parties(&conference),
        announce: dn.announce == Announce::Tone,
        lobby: dn.resolved_lobby(&conference),
        music: dn.music,
        ..RoomSettings::default()
    }
}

/// The dial plan in force.
fn calling(config: &Config) -> Result<CallingPolicy, Vec<String>> {
    let in_force = config.calls.calling_method_dialplan.as_ref();
    let plan = config.dial_plan.iter().find(|plan| Some(&plan.dn) == in_force);
    let rule =
        |text: &String| DestinationRule::parse(text).map_err(|error| vec![format!("dial_plan.rules: \"{text}\": {error}")]);
    let plan = plan.map(|plan| {
        Ok::<_, Vec<String>>(DialPlan {
            rules: plan.rules.iter().map(rule).collect::<Result<_, _>>()?,
            method: match plan.calling_method {
                ConfiguredMethod::B2b => CallingMethod::BackToBack,
                ConfiguredMethod::Dialout => CallingMethod::DialOut,
            },
            cpn: plan.cpn.as_deref().map(DnId::new),
        })
    });
    Ok(CallingPolicy {
        plan: plan.transpose()?,
        cpn: config.calls.cpn.as_deref().map(DnId::new),
    })
}

fn pass_through(configured: ConfiguredPassThrough) -> PassThrough {
    match configured {
        ConfiguredPassThrough::All => PassThrough::All,
        ConfiguredPassThrough::None => PassThrough::None,
        ConfiguredPassThrough::Iscc => PassThrough::Iscc,
    }
}

fn handle(configured: ConfiguredDirect) -> HandleDirectCalls {
    match configured {
        ConfiguredDirect::Always => HandleDirectCalls::Always,
        ConfiguredDirect::Never => HandleDirectCalls::Never,
        ConfiguredDirect::OnLogin => HandleDirectCalls::OnLogin,
    }
}

fn media(configured: &[ConfiguredMedia]) -> DirectMedia {
    let has = |wanted| configured.contains(&ConfiguredMedia::All) || configured.contains(&wanted);
    DirectMedia {
        av: has(ConfiguredMedia::Av),
        im: has(ConfiguredMedia::Im),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tandem_model::KvList;

    use super::*;

    const CONFIGURED: &str = "[calls]\nallow_pass_through_calls = \"iscc\"\ncpn = \"sip:all@tandem.local\"\n\
        [[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\nallow_pass_through_calls = \"none\"\nlobby_bypass_enabled = false\n\
        calling_method_dialplan = \"sip:plan@tandem.local\"\n[[dn_folder]]\nname = \"B\"\n\
        [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"+{#}\"]\ncalling_method = \"b2b\"\n\
        [[dn]]\ndn = \"sip:1@tandem.local\"\n[[dn]]\ndn = \"sip:2@tandem.local\"\nfolder = \"B/C\"\n\
        [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 3\nlast = 4\nfolder = \"A/C\"\n\
        [[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:192.0.2.1\"\nfolder = \"A\"\n\
        [[conference_dn]]\ndn = \"sip:5@tandem.local\"\n[[conference_dn]]\ndn = \"sip:6@tandem.local\"\nfolder = \"A\"\n";

    #[test]
    fn what_is_in_a_folder_is_of_its_pool_and_has_what_that_has() {
        let loaded = Config::from_toml(CONFIGURED, Path::new("tandem.toml"), &[], []).expect("no problem");
        let numbering = numbering(&loaded.config).expect("it can be built");
        for (user, pool) in [
            ("1", None),
            ("2", None),
            ("3", Some("Pool1")),
            ("4", Some("Pool1")),
            ("t", Some("Pool1")),
            ("5", None),
            ("6", Some("Pool1")),
        ] {
            let dn = DnId::new(&format!("sip:{user}@tandem.local"));
            assert_eq!(numbering.pool_of(&dn).map(|pool| &**pool), pool, "{dn}");
            let in_pool = pool.is_some();
            let expected = if in_pool { PassThrough::None } else { PassThrough::Iscc };
            assert_eq!(numbering.pass_through(Some(&dn)), expected, "{dn}");
            let calling = numbering.calling(&dn, "+4930", &KvList::new()).expect("no extension");
            let identity = in_pool.then(|| DnId::new("sip:all@tandem.local"));
            assert_eq!(
                (calling.method == CallingMethod::BackToBack, calling.identity),
                (in_pool, identity),
                "{dn}"
            );
            let room = numbering.dn(&dn).and_then(|config| config.room.as_ref());
            assert!(room.is_none_or(|room| room.lobby == in_pool), "{dn}");
        }
    }
}
