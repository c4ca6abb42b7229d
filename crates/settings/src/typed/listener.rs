//! Listeners.

use super::Contradiction;
use std::collections::BTreeMap;

/// What is spoken on a listener below Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Protocol {
    fn from_name(name: &str) -> Option<Self> {
        let known = [
            ("PLAINTEXT", Self::Plaintext),
            ("SSL", Self::Ssl),
            ("SASL_PLAINTEXT", Self::SaslPlaintext),
            ("SASL_SSL", Self::SaslSsl),
        ];
        known.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)).map(|(_, known)| *known)
    }

    /// Kafka's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// An address of one of the broker's listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// Host name or address, without brackets; empty for every address of the machine.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

/// Reads `listener.security.protocol.map`.
pub(super) fn protocols(map: &[String]) -> Result<BTreeMap<String, Protocol>, Contradiction> {
    let entry = |text: &String| {
        let (name, protocol) = text.split_once(':')?;
        Some((name.trim().to_ascii_uppercase(), Protocol::from_name(protocol.trim())?))
    };
    map.iter()
        .map(|text| {
            entry(text).ok_or_else(|| {
                let legal = "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL";
                let what = format!("expected LISTENER:PROTOCOL, the protocol one of {legal}");
                Contradiction(format!("`listener.security.protocol.map` has `{text}`: {what}"))
            })
        })
        .collect()
}

/// Reads `listeners` or `advertised.listeners`.
pub(super) fn listeners(
    setting: &str,
    texts: &[String],
    protocols: &BTreeMap<String, Protocol>,
) -> Result<Vec<Listener>, Contradiction> {
    let mut listeners = Vec::<Listener>::new();
    for text in texts {
        let wrong = |what: &str| Contradiction(format!("`{setting}` has `{text}`: {what}"));
        let (name, address) =
            text.split_once("://").ok_or_else(|| wrong("expected NAME://HOST:PORT"))?;
        let (host, port) =
            address.rsplit_once(':').ok_or_else(|| wrong("expected NAME://HOST:PORT"))?;
        let port = port.parse().map_err(|_| wrong("the port is no number up to 65535"))?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(|| wrong("a bracket is missing"))?,
            None if host.contains(':') => {
                return Err(wrong("an address with colons goes into brackets"));
            }
            None => host,
        };
        let name = name.trim().to_ascii_uppercase();
        let protocol = *protocols.get(&name).ok_or_else(|| {
            wrong("`listener.security.protocol.map` has no protocol for this name")
        })?;
        if listeners.iter().any(|other| other.name == name) {
            return Err(wrong("the name is given twice"));
        }
        if protocol != Protocol::Plaintext {
            return Err(wrong(&format!(
                "{} is not served yet, only PLAINTEXT is",
                protocol.name()
            )));
        }
        listeners.push(Listener { name, protocol, host: host.to_owned(), port });
    }
    Ok(listeners)
}
