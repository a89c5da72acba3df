//! The checks of `[[link]]` and `[link_tls]`.

use std::collections::HashMap;

use super::Check;
use crate::schema::LinkProtocol;

impl Check<'_> {
    pub(super) fn links(&mut self) {
        let links = &self.config.link;
        let (mut names, mut addresses) = (HashMap::new(), HashMap::new());
        for (index, link) in links.iter().enumerate() {
            if let Some(first) = names.insert(link.name.as_str(), index) {
                let text = format!("`name` = \"{}\" stands twice: link {} has it too", link.name, first + 1);
                self.error(&format!("link[{index}].name"), text);
            }
            let address = (link.hostname.to_ascii_lowercase(), link.port);
            if let Some(first) = addresses.insert(address, index) {
                let text = format!("{}:{} stands twice: link {} has it too", link.hostname, link.port, first + 1);
                self.error(&format!("link[{index}].port"), text);
            }
        }
        self.http_binds();
        let tls = &self.config.link_tls;
        if tls.certificate_file.is_some() != tls.private_key_file.is_some() {
            let text = "`certificate_file` and `private_key_file` belong together: only one is set".to_owned();
            self.error("link_tls.certificate_file", text);
        }
        let uses_tls = links.iter().position(|link| link.protocol == LinkProtocol::Tls);
        let Some(index) = uses_tls else { return };
        if tls.authorities_file.is_none() && tls.identity().is_none() {
            let text =
                "`protocol` = \"tls\" needs [link_tls]: `authorities_file` for a T-Server, `certificate_file` for a connector";
            self.error(&format!("link[{index}].protocol"), text.to_owned());
        }
    }
    /// Two processes of one host cannot have one address.
    fn http_binds(&mut self) {
        let mut taken = HashMap::new();
        for (index, link) in self.config.link.iter().enumerate() {
            let Some(bind) = link.http_bind.filter(|bind| bind.port() != 0) else {
                continue;
            };
            if let Some(first) = taken.insert((link.hostname.to_ascii_lowercase(), bind), index) {
                let text = format!("{bind} at {} stands twice: link {} has it too", link.hostname, first + 1);
                self.error(&format!("link[{index}].http_bind"), text);
            }
        }
    }
}
