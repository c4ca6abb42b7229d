//! What is known of a client: where it comes from, who it is, and what it runs.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who a client is, in Kafka's words: a kind and a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
}

impl Principal {
    /// Whoever comes to a listener without logins.
    pub(crate) const ANONYMOUS: Self = Self { kind: "User", name: "ANONYMOUS" };
}

/// What a client says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Software {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// Bytes of a name and of a version that are kept: it is said by the client, and kept as long as it is connected.
const TEXT_MAX: usize = 64;

/// What is known of a client. Handlers get it by reference.
#[derive(Debug)]
pub(crate) struct ClientInfo {
    /// Its address.
    pub(crate) peer: SocketAddr,
    /// The shard that serves it.
    pub(crate) shard: usize,
    /// The listener that it came to.
    pub(crate) listener: &'static str,
    /// Who it is.
    pub(crate) principal: Principal,
    software: Mutex<Option<Arc<Software>>>,
}

/// The name of the only listener.
pub(crate) const PLAINTEXT: &str = "PLAINTEXT";

impl ClientInfo {
    pub(crate) fn new(peer: SocketAddr, shard: usize) -> Self {
        let software = Mutex::new(None);
        Self { peer, shard, listener: PLAINTEXT, principal: Principal::ANONYMOUS, software }
    }

    /// Notes what the client says it is.
    pub(crate) fn introduce(&self, name: &str, version: &str) {
        let cut = |text: &str| text[..text.floor_char_boundary(TEXT_MAX)].to_owned();
        let software = Software { name: cut(name), version: cut(version) };
        *self.software.lock() = Some(Arc::new(software));
    }

    /// What it said it is.
    pub(crate) fn software(&self) -> Option<Arc<Software>> {
        self.software.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> ClientInfo {
        ClientInfo::new(([127, 0, 0, 1], 9092).into(), 0)
    }

    #[test]
    fn a_client_is_nobody_in_particular_until_it_says() {
        let client = client();
        assert_eq!(client.software(), None);
        assert_eq!(client.principal, Principal::ANONYMOUS);
        assert_eq!(client.listener, "PLAINTEXT");
    }

    #[test]
    fn what_it_says_is_kept_in_part_only() {
        let client = client();
        client.introduce("librdkafka", "2.3.0");
        let software = client.software().unwrap();
        assert_eq!((software.name.as_str(), software.version.as_str()), ("librdkafka", "2.3.0"));
        client.introduce(&"ä".repeat(1000), &"x".repeat(30_000));
        let software = client.software().unwrap();
        assert!(software.name.len() <= TEXT_MAX && software.version.len() <= TEXT_MAX);
    }
}
