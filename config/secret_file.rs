//! Secrets kept in files of their own: `password_file`, `key_file`, `pin_file`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::problem::{Fault, Place, Problem};
use crate::registry::MAX_PIN;
use crate::schema::Config;
use crate::secret::Secret;

/// The most that is read of such a file, in bytes.
const MAX_BYTES: u64 = 4096;

/// Reads every secret file into the secret it stands for. Relative paths start at `base`.
pub(crate) fn read_all(config: &mut Config, base: Option<&Path>, places: &BTreeMap<String, Place>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut fill = |at: String, option: &str, file: &Option<PathBuf>, secret: &mut Option<Secret>, rule: Rule| {
        let Some(file) = file else { return };
        match read(&base.unwrap_or(Path::new("")).join(file), rule) {
            Ok(read) => *secret = Some(read),
            Err(reason) => problems.push(Problem {
                place: places.get(&format!("{at}.{option}")).cloned().unwrap_or(Place::Default),
                fault: Fault::SecretFile {
                    option: option.to_owned(),
                    path: file.display().to_string(),
                    reason,
                },
            }),
        }
    };
    for (n, dn) in config.dn.iter_mut().enumerate() {
        fill(
            format!("dn[{n}]"),
            "password_file",
            &dn.password_file,
            &mut dn.password,
            Rule::AtLeast(1),
        );
    }
    for (n, trunk) in config.trunk.iter_mut().enumerate() {
        fill(
            format!("trunk[{n}]"),
            "password_file",
            &trunk.password_file,
            &mut trunk.password,
            Rule::AtLeast(1),
        );
    }
    for (n, key) in config.cti.api_key.iter_mut().enumerate() {
        fill(
            format!("cti.api_key[{n}]"),
            "key_file",
            &key.key_file,
            &mut key.key,
            Rule::AtLeast(8),
        );
    }
    for (n, dn) in config.conference_dn.iter_mut().enumerate() {
        let at = format!("conference_dn[{n}]");
        fill(at.clone(), "pin_file", &dn.pin_file, &mut dn.pin, Rule::Pin);
        fill(
            at,
            "moderator_pin_file",
            &dn.moderator_pin_file,
            &mut dn.moderator_pin,
            Rule::Pin,
        );
    }
    problems
}

/// What such a secret must look like.
#[derive(Clone, Copy)]
enum Rule {
    /// That many characters or more.
    AtLeast(usize),
    /// The digits of a PIN.
    Pin,
}

fn read(path: &Path, rule: Rule) -> Result<Secret, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let line = text.lines().next().unwrap_or_default();
    match (line.chars().count(), rule) {
        (0, _) => Err("its first line is empty".to_owned()),
        (n, Rule::Pin) if n > MAX_PIN || !line.bytes().all(|b| b.is_ascii_digit()) => {
            Err(format!("its first line must be 1 to {MAX_PIN} digits"))
        }
        (n, Rule::AtLeast(shortest)) if n < shortest => {
            Err(format!("its first line has {n} characters; at least {shortest} are needed"))
        }
        (n, _) if n > 256 => Err("its first line has more than 256 characters".to_owned()),
        _ => Ok(Secret::new(line)),
    }
}
