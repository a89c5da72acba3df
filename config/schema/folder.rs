//! `[[dn_folder]]`: folders of DNs, and the application pools they map to (seed 002 lines 2652-2820).
//!
//! A DN is in the pool that its folder of the first level names, else in the default pool; deeper folders change nothing. What a pool does
//! not set it has from the default pool, whose options are those of the sections. Which folders cannot be is for `consistency` to say.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Calls, Conference, Config, Link, PassThrough};

/// The name of the default pool.
pub const DEFAULT_POOL: &str = "default";

/// What stands between a folder and one in it.
pub(crate) const SEPARATOR: char = '/';

/// `[[dn_folder]]`: a folder of DNs. One of the first level that names a pool other than the default one is that pool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnFolder {
    /// Its name, that of the folder it is in before it: `Pool11/Env11`.
    pub name: String,
    /// The pool of the DNs in it and below; the default one where absent or empty.
    pub pool_name: Option<String>,
    /// The calls at a time that are expected of the pool; only sizes are computed from it.
    pub max_calls: Option<usize>,
    /// As in [`Calls`].
    pub allow_pass_through_calls: Option<PassThrough>,
    /// As in [`Calls`].
    pub calling_method_dialplan: Option<String>,
    /// As in [`Calls`].
    pub cpn: Option<String>,
    /// As in [`Media`](super::Media).
    pub music: Option<PathBuf>,
    /// `pool_size` of [`Conference`].
    pub conference_pool_size: Option<usize>,
    /// As in [`Conference`].
    pub caching_enabled: Option<bool>,
    /// As in [`Conference`].
    pub reuse_avcall: Option<u32>,
    /// As in [`Conference`].
    pub uri_pattern: Option<String>,
    /// As in [`Conference`].
    pub count: Option<u32>,
    /// As in [`Conference`].
    pub lobby_bypass_enabled: Option<bool>,
}

impl DnFolder {
    /// Whether it is in no other folder.
    pub fn is_of_first_level(&self) -> bool {
        !self.name.contains(SEPARATOR)
    }

    /// The pool it names: none where that is the default one, and none below the first level.
    pub fn pool(&self) -> Option<&str> {
        let name = self.pool_name.as_deref().filter(|_| self.is_of_first_level());
        name.filter(|name| !is_default(name))
    }

    /// `[calls]` in this pool.
    pub fn calls(&self, of_default: &Calls) -> Calls {
        let own = |own: &Option<String>, theirs: &Option<String>| own.as_ref().or(theirs.as_ref()).cloned();
        Calls {
            calling_method_dialplan: own(&self.calling_method_dialplan, &of_default.calling_method_dialplan),
            cpn: own(&self.cpn, &of_default.cpn),
            allow_pass_through_calls: self.allow_pass_through_calls.unwrap_or(of_default.allow_pass_through_calls),
            ..of_default.clone()
        }
    }

    /// `[conference]` in this pool.
    pub fn conference(&self, of_default: &Conference) -> Conference {
        Conference {
            pool_size: self.conference_pool_size.unwrap_or(of_default.pool_size),
            caching_enabled: self.caching_enabled.unwrap_or(of_default.caching_enabled),
            reuse_avcall: self.reuse_avcall.unwrap_or(of_default.reuse_avcall),
            uri_pattern: self.uri_pattern.as_ref().or(of_default.uri_pattern.as_ref()).cloned(),
            count: self.count.unwrap_or(of_default.count),
            lobby_bypass_enabled: self.lobby_bypass_enabled.unwrap_or(of_default.lobby_bypass_enabled),
            ..of_default.clone()
        }
    }

    /// The music starts where `[media]` has it start.
    pub(crate) fn resolve_paths(&mut self, directory: &Path) {
        if let Some(music) = &mut self.music {
            let joined = directory.join(&*music);
            *music = std::path::absolute(&joined).unwrap_or(joined);
        }
    }
}

impl Link {
    /// Whether the T-Server shows its certificate on it: always in the default pool, in another one where `use_certificate` says so.
    pub fn shows_certificate(&self) -> bool {
        self.use_certificate || is_default(&self.pool_name)
    }
}

impl Config {
    /// The pools that are not the default one, each by its folder.
    pub fn pools(&self) -> impl Iterator<Item = &DnFolder> {
        self.dn_folder.iter().filter(|folder| folder.pool().is_some())
    }

    /// The pool of what is in a folder, by the folder that is the pool; `None` is the default pool.
    pub fn pool_of(&self, folder: Option<&str>) -> Option<&DnFolder> {
        let first = first_level(folder?);
        self.pools().find(|folder| folder.name == first)
    }

    /// What is in effect for the connectors of a pool: this, with what the pool has of its own. A pool without a folder has nothing of its own.
    pub fn of_pool(&self, pool: &str) -> Self {
        let mut config = self.clone();
        if let Some(folder) = self.pools().find(|folder| folder.pool() == Some(pool)) {
            config.calls = folder.calls(&self.calls);
            config.conference = folder.conference(&self.conference);
            if folder.music.is_some() {
                config.media.music.clone_from(&folder.music);
            }
        }
        config
    }
}

/// The folder of the first level that a folder is, or is in.
fn first_level(folder: &str) -> &str {
    folder.split(SEPARATOR).next().unwrap_or(folder)
}

/// Whether a name is that of the default pool.
pub(crate) fn is_default(pool: &str) -> bool {
    pool.is_empty() || pool == DEFAULT_POOL
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The folders of the seed's picture: `Pool11` with `Env11` in it, and `Env36`.
    const FOLDERS: &str = "[media]\nmusic_directory = \"/music\"\nmusic = \"all.wav\"\n\
        [conference]\npool_size = 60\nreuse_avcall = 5\nuri_pattern = \"sip:conf{DD}@a.lab\"\ncount = 6\n\
        [calls]\nallow_pass_through_calls = \"iscc\"\ncpn = \"sip:main@tandem.local\"\n\
        [[dn_folder]]\nname = \"Env36\"\npool_name = \"Pool1\"\nconference_pool_size = 10\nlobby_bypass_enabled = false\nmusic = \"env36.wav\"\n\
        cpn = \"sip:Env36@tandem.local\"\nuri_pattern = \"sip:c{D}@b.lab\"\ncount = 1\n\
        [[dn_folder]]\nname = \"Pool11\"\npool_name = \"Pool2\"\nallow_pass_through_calls = \"none\"\ncaching_enabled = false\n\
        [[dn_folder]]\nname = \"Pool11/Env11\"\n\
        [[dn_folder]]\nname = \"Office\"\n[[dn_folder]]\nname = \"Lab\"\npool_name = \"default\"\n";

    fn config() -> Config {
        let loaded = Config::from_toml(FOLDERS, Path::new("tandem.toml"), &[], []);
        loaded
            .map(|loaded| loaded.config)
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[test]
    fn the_folder_of_the_first_level_says_which_pool_a_dn_is_in() {
        let config = config();
        for (folder, pool) in [
            (None, None),
            (Some("Env36"), Some("Pool1")),
            (Some("Pool11"), Some("Pool2")),
            (Some("Pool11/Env11"), Some("Pool2")),
            (Some("Pool11/Env11/Deep"), Some("Pool2")),
            (Some("Office"), None),
            (Some("Lab"), None),
            (Some("Lab/Pool11"), None),
        ] {
            assert_eq!(config.pool_of(folder).and_then(DnFolder::pool), pool, "{folder:?}");
        }
    }

    #[test]
    fn a_pool_has_what_it_sets_and_the_rest_from_the_default_pool() {
        let config = config();
        assert_eq!(config.of_pool(DEFAULT_POOL), config);
        assert_eq!(config.of_pool("Pool3"), config, "a pool that no folder names");
        let first = config.of_pool("Pool1");
        assert_eq!(
            (
                first.conference.pool_size,
                first.conference.reuse_avcall,
                first.conference.lobby_bypass_enabled
            ),
            (10, 5, false)
        );
        assert_eq!(first.conference.endpoints().collect::<Vec<_>>(), ["sip:c1@b.lab"]);
        assert_eq!(first.calls.cpn.as_deref(), Some("sip:env36@tandem.local"));
        assert_eq!(first.calls.allow_pass_through_calls, PassThrough::Iscc);
        assert_eq!(first.media.music.as_deref(), Some(Path::new("/music/env36.wav")));
        let second = config.of_pool("Pool2");
        assert_eq!((second.conference.pool_size, second.conference.caching_enabled), (60, false));
        assert_eq!(second.conference.endpoints().count(), 6);
        assert_eq!(second.calls.cpn.as_deref(), Some("sip:main@tandem.local"));
        assert_eq!(second.calls.allow_pass_through_calls, PassThrough::None);
        assert_eq!(second.media.music.as_deref(), Some(Path::new("/music/all.wav")));
    }

    #[test]
    fn the_certificate_may_be_kept_back_from_connectors_of_other_pools_only() {
        let link = |rest: &str| {
            let text = format!("[[link]]\nname = \"c\"\nhostname = \"localhost\"\nport = 9001\n{rest}");
            let config = Config::from_toml(&text, Path::new("tandem.toml"), &[], [])
                .expect("no problem")
                .config;
            config.link.first().is_some_and(Link::shows_certificate)
        };
        assert!(link(""));
        assert!(link("use_certificate = false\n"));
        assert!(link("use_certificate = false\npool_name = \"\"\n"));
        assert!(link("pool_name = \"Pool1\"\n"));
        assert!(!link("pool_name = \"Pool1\"\nuse_certificate = false\n"));
    }
}
