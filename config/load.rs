//! Loading: defaults < file < environment < `--set`, checked, merged and made into a [`Config`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::problem::{Fault, Place, Problem};
use crate::reader::{Reader, Reading};
use crate::registry::{Fallback, OPTIONS, TABLES};
use crate::schema::{Config, DEFAULT_POOL};
use crate::{consistency, overrides, secret_file};

/// The largest configuration file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// A configuration that was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What looks wrong, though the server can run with it.
    pub warnings: Vec<Problem>,
    /// Where each option that is set comes from, by its path (`sip.t1_ms`, `dn[3].password`); what is not here is at its default.
    pub origins: BTreeMap<String, Place>,
}

/// One source of values, for figment.
struct Layer {
    name: &'static str,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

impl Config {
    /// Loads the configuration from a file (none: the defaults), `--set` arguments (`section.key=value`) and the environment
    /// ([`environment`]). On failure every problem is listed, in the order of the sources.
    pub fn load(
        path: Option<&Path>,
        sets: &[String],
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Vec<Problem>> {
        let text = match path {
            Some(path) => read_text(path).map_err(|reason| {
                vec![Problem {
                    place: Place::File(path.to_owned()),
                    fault: Fault::Unreadable { reason },
                }]
            })?,
            None => String::new(),
        };
        Self::from_toml(&text, path.unwrap_or(Path::new("")), sets, env)
    }

    /// The same from the text of a file; `file` is its name in messages, and its directory is where relative paths start.
    pub fn from_toml(
        text: &str,
        file: &Path,
        sets: &[String],
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Vec<Problem>> {
        let env: Vec<(String, String)> = env.into_iter().collect();
        let state_directories = env
            .iter()
            .find(|(name, _)| name == "STATE_DIRECTORY")
            .map(|(_, value)| value.clone());
        let mut reading = Reading::default();
        let mut layers = vec![Layer {
            name: "default",
            dict: defaults(),
        }];
        layers.push(Layer {
            name: "file",
            dict: file_layer(text, file, &mut reading),
        });
        layers.push(Layer {
            name: "environment",
            dict: environment_layer(env, &mut reading),
        });
        layers.push(Layer {
            name: "set",
            dict: set_layer(sets, &mut reading),
        });

        let mut problems = std::mem::take(&mut reading.problems);
        let mut dict = merged(layers)?;
        fill_elements(&mut dict, &reading, &mut problems);
        // A refused or missing value leaves a gap that its default must not fill: nothing after it could be judged.
        if !reading.refused.is_empty() || problems.iter().any(|problem| matches!(problem.fault, Fault::Missing { .. })) {
            return Err(problems);
        }
        let mut config: Config = Value::from(dict).deserialize().map_err(|error| internal(&error))?;
        config.normalise();
        let base = file.parent().unwrap_or(Path::new(""));
        config.media.resolve_paths(base);
        let music = config.media.music_directory.clone();
        for folder in &mut config.dn_folder {
            folder.resolve_paths(music.as_deref().unwrap_or(base));
        }
        config.journal.resolve_paths(base, state_directories.as_deref());
        config.link_tls.resolve_paths(base);
        let found = consistency::check(&config, &reading.places);
        problems.extend(found.errors);
        problems.extend(secret_file::read_all(&mut config, file.parent(), &reading.places));
        if problems.is_empty() {
            Ok(Loaded {
                config,
                warnings: found.warnings,
                origins: reading.places,
            })
        } else {
            Err(problems)
        }
    }

    /// Case does not count in DNs, host names and hex digits: lower case it is.
    fn normalise(&mut self) {
        let dns = self
            .dn
            .iter_mut()
            .map(|dn| &mut dn.dn)
            .chain(self.trunk.iter_mut().map(|trunk| &mut trunk.dn))
            .chain(self.conference_dn.iter_mut().map(|conference| &mut conference.dn))
            .chain(
                self.dial_plan
                    .iter_mut()
                    .flat_map(|plan| std::iter::once(&mut plan.dn).chain(plan.cpn.as_mut())),
            )
            .chain(
                self.dn_folder
                    .iter_mut()
                    .flat_map(|folder| folder.cpn.iter_mut().chain(&mut folder.calling_method_dialplan)),
            )
            .chain(self.calls.cpn.as_mut())
            .chain(self.calls.calling_method_dialplan.as_mut());
        let ranges = self.dn_range.iter_mut().map(|range| &mut range.dn);
        let rules = self.dial_rule.iter_mut().filter_map(|rule| rule.trunk.as_mut());
        let keys = self.cti.api_key.iter_mut().filter_map(|key| key.key_sha256.as_mut());
        for link in self.link.iter_mut().filter(|link| link.pool_name.is_empty()) {
            DEFAULT_POOL.clone_into(&mut link.pool_name);
        }
        for text in dns.chain(ranges).chain(rules).chain(keys).chain(self.sip.domains.iter_mut()) {
            text.make_ascii_lowercase();
        }
    }
}

/// The built-in defaults.
impl Default for Config {
    fn default() -> Self {
        match Self::from_toml("", Path::new(""), &[], []) {
            Ok(loaded) => loaded.config,
            Err(problems) => panic!("the defaults are valid, as a test proves: {problems:?}"),
        }
    }
}

/// The environment of this process, as [`Config::load`] wants it. Variables that are not Unicode cannot be ours and are left out.
pub fn environment() -> Vec<(String, String)> {
    let text =
        |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        format!("line {} is not UTF-8", before.filter(|b| **b == b'\n').count() + 1)
    })
}

fn file_layer(text: &str, file: &Path, reading: &mut Reading) -> Dict {
    let lines = Lines::of(text);
    let locate = |span: Option<Range<usize>>| match span {
        Some(span) => lines.place(file, span.start),
        None => Place::File(file.to_owned()),
    };
    match toml_edit::Document::parse(text) {
        Ok(document) => Reader {
            reading,
            locate: &locate,
        }
        .table("", "", document.as_table()),
        Err(error) => {
            let reason = error.message().lines().collect::<Vec<_>>().join(", ");
            reading.refuse("", &locate(error.span()), Fault::Syntax { reason });
            Dict::new()
        }
    }
}

/// Where the lines of a text start, so that a place is found without counting from the top each time.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self { text, starts }
    }

    fn place(&self, file: &Path, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        Place::Line {
            file: file.to_owned(),
            line,
            column: before.chars().count() + 1,
        }
    }
}

fn environment_layer(env: impl IntoIterator<Item = (String, String)>, reading: &mut Reading) -> Dict {
    let ours: BTreeMap<String, (String, String)> = env
        .into_iter()
        .filter_map(|(name, value)| Some((name.clone(), (overrides::variable_path(&name)?, value))))
        .collect();
    let mut dict = Dict::new();
    for (name, (path, value)) in ours {
        overrides::read(&path, &value, &Place::Environment(name), reading, &mut dict);
    }
    dict
}

fn set_layer(sets: &[String], reading: &mut Reading) -> Dict {
    let mut dict = Dict::new();
    for set in sets {
        match set.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => {
                let path = path.trim();
                overrides::read(path, value, &Place::Set(path.to_owned()), reading, &mut dict);
            }
            _ => reading.problems.push(Problem {
                place: Place::Set(set.clone()),
                fault: Fault::NotAnAssignment,
            }),
        }
    }
    dict
}

/// The defaults of everything that stands once.
fn defaults() -> Dict {
    let mut dict = Dict::new();
    for table in TABLES {
        match table.default {
            Some(elements) => overrides::insert(&mut dict, table.path.trim_end_matches("[]"), literal(elements)),
            None => overrides::insert(&mut dict, table.path, Dict::new().into()),
        }
    }
    for option in OPTIONS.iter().filter(|option| !option.path.contains('[')) {
        if let Fallback::Value(toml) = option.default {
            overrides::insert(&mut dict, option.path, literal(toml));
        }
    }
    dict
}

/// A value of the registry, written as TOML.
fn literal(toml: &str) -> Value {
    let value = toml.parse().ok().and_then(|value| crate::reader::converted(&value));
    value.unwrap_or_else(|| panic!("the registry holds `{toml}`, which is no value"))
}

fn merged(layers: Vec<Layer>) -> Result<Dict, Vec<Problem>> {
    layers
        .into_iter()
        .fold(Figment::new(), Figment::merge)
        .extract()
        .map_err(|error| internal(&error))
}

/// Gives every element of every list of tables its defaults, and reports what is missing.
fn fill_elements(dict: &mut Dict, reading: &Reading, problems: &mut Vec<Problem>) {
    for table in TABLES.iter().filter(|table| table.is_array()) {
        let name = table.path.trim_end_matches("[]");
        let Some(Value::Array(_, elements)) = find_mut(dict, name) else {
            continue;
        };
        for (n, element) in elements.iter_mut().enumerate() {
            let Value::Dict(_, element) = element else { continue };
            for option in table.options() {
                let at = format!("{name}[{n}].{}", option.name());
                match option.default {
                    _ if element.contains_key(option.name()) || reading.refused.contains(&at) => {}
                    Fallback::Value(toml) => {
                        element.insert(option.name().to_owned(), literal(toml));
                    }
                    Fallback::Absent => {}
                    Fallback::Required => {
                        let place = reading.places.get(&format!("{name}[{n}]")).cloned().unwrap_or(Place::Default);
                        let fault = Fault::Missing {
                            option: option.name().to_owned(),
                            table: table.heading(),
                        };
                        problems.push(Problem { place, fault });
                    }
                }
            }
        }
    }
}

fn find_mut<'a>(dict: &'a mut Dict, path: &str) -> Option<&'a mut Value> {
    match path.split_once('.') {
        None => dict.get_mut(path),
        Some((section, rest)) => match dict.get_mut(section)? {
            Value::Dict(_, inner) => find_mut(inner, rest),
            _ => None,
        },
    }
}

fn internal(error: &figment::Error) -> Vec<Problem> {
    vec![Problem {
        place: Place::Default,
        fault: Fault::Internal(error.to_string()),
    }]
}
