//! Network namespaces, one for each connector, so that its link can be cut while its phones still reach it.
//!
//! ```text
//! phones 198.18.0.1 ── bridge ─┬─ veth ─ [connector 0: sip 198.18.0.2, link 198.19.0.2] ─ veth ─ 198.19.0.1 T-Server
//!                              ├─ veth ─ [connector 1: sip 198.18.0.3, link 198.19.0.6] ─ veth ─ 198.19.0.5
//!                              └─ ...
//! ```
//! Phones and the T-Server stay where this program was started. The namespaces are named `tandem-load-PID-N`; the name of an interface has
//! 15 characters at most, so theirs begin with `tlPID`. It takes root, and `ip` of iproute2.
//!
//! Invariant: what was made is removed when this is dropped, whatever of it there is.

use std::process::{Command, Stdio};

use super::plan;

/// See the module.
pub struct Namespaces {
    names: Names,
    count: u16,
}

/// The names that a process gives.
#[derive(Clone, Copy)]
struct Names {
    pid: u32,
}

impl Names {
    fn namespace(self, connector: u16) -> String {
        format!("tandem-load-{}-{connector}", self.pid)
    }

    fn bridge(self) -> String {
        format!("tl{}b", self.pid)
    }

    /// Our end of the pair over which a connector is called.
    fn sip(self, connector: u16) -> String {
        format!("tl{}s{connector}", self.pid)
    }

    /// Our end of the pair that carries a connector's link.
    fn link(self, connector: u16) -> String {
        format!("tl{}l{connector}", self.pid)
    }

    /// The arguments of `ip`, line by line, that make the network of all.
    fn bridge_lines(self) -> Vec<String> {
        let bridge = self.bridge();
        vec![
            format!("link add {bridge} type bridge"),
            format!("addr add {}/24 dev {bridge}", plan::PHONES),
            format!("link set dev {bridge} up"),
        ]
    }

    /// Those that make the namespace of a connector.
    fn connector_lines(self, connector: u16) -> Vec<String> {
        let (namespace, bridge) = (self.namespace(connector), self.bridge());
        let (sip, link) = (self.sip(connector), self.link(connector));
        let (here, there) = plan::link_addresses(connector);
        vec![
            format!("netns add {namespace}"),
            format!("-n {namespace} link set lo up"),
            format!("link add {sip} type veth peer name sip netns {namespace}"),
            format!("link set dev {sip} master {bridge}"),
            format!("link set dev {sip} up"),
            format!("-n {namespace} addr add {}/24 dev sip", plan::sip_address(connector)),
            format!("-n {namespace} link set dev sip up"),
            format!("link add {link} type veth peer name link netns {namespace}"),
            format!("addr add {here}/30 dev {link}"),
            format!("link set dev {link} up"),
            format!("-n {namespace} addr add {there}/30 dev link"),
            format!("-n {namespace} link set dev link up"),
        ]
    }
}

impl Namespaces {
    /// Makes them.
    pub fn make(count: u16) -> Result<Self, String> {
        // SAFETY: geteuid has no preconditions.
        if unsafe { libc::geteuid() } != 0 {
            return Err("--fault cut: network namespaces are made for the connectors, which only root may".into());
        }
        let names = Names { pid: std::process::id() };
        // Dropped, and so removed, where one of the commands fails.
        let namespaces = Self { names, count };
        names.bridge_lines().iter().try_for_each(|line| ip(line))?;
        for connector in 0..count {
            names.connector_lines(connector).iter().try_for_each(|line| ip(line))?;
        }
        Ok(namespaces)
    }

    /// The command that runs a program in the namespace of a connector.
    pub fn command(&self, connector: u16, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names.namespace(connector)]).arg(program);
        command
    }

    /// Nothing passes over the link of a connector.
    pub fn cut(&self, connector: u16) -> Result<(), String> {
        ip(&format!("link set dev {} down", self.names.link(connector)))
    }

    /// It passes again.
    pub fn mend(&self, connector: u16) -> Result<(), String> {
        ip(&format!("link set dev {} up", self.names.link(connector)))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // What is not there is not removed. A namespace that goes takes its interfaces along, but at its leisure.
        for connector in 0..self.count {
            let _ = ip(&format!("link del dev {}", self.names.sip(connector)));
            let _ = ip(&format!("link del dev {}", self.names.link(connector)));
            let _ = ip(&format!("netns del {}", self.names.namespace(connector)));
        }
        let _ = ip(&format!("link del dev {}", self.names.bridge()));
    }
}

fn ip(line: &str) -> Result<(), String> {
    let arguments = line.split_whitespace();
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    match output {
        Err(error) => Err(format!("ip (iproute2): {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_are_short_enough_and_their_own() {
        let names = Names { pid: 4_194_304 };
        let last = plan::MOST as u16 - 1;
        for name in [names.bridge(), names.sip(last), names.link(last)] {
            assert!(name.len() <= 15, "{name}");
        }
        assert_ne!(names.sip(1), names.link(1));
    }

    #[test]
    fn everything_is_named_after_this_process() {
        let names = Names { pid: 77 };
        let lines = [names.bridge_lines(), names.connector_lines(1)].concat();
        assert!(
            lines
                .iter()
                .all(|line| line.contains("tl77") || line.contains("tandem-load-77-1")),
            "{lines:?}"
        );
        assert!(lines.contains(&"addr add 198.19.0.5/30 dev tl77l1".to_owned()));
        assert!(lines.contains(&"-n tandem-load-77-1 addr add 198.18.0.3/24 dev sip".to_owned()));
    }
}
