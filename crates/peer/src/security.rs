//! Who may be a peer: nodes show each other certificates of the cluster's authority (mutual TLS 1.3).
//!
//! The authority is derived from one secret that all nodes have: the key is the secret's, stretched by HKDF, and the
//! certificate says the same on every node. Each process draws a key of its own and certifies it. So there is nothing to
//! hand out but the secret, and whoever has it is a node.

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use esker_env::{ByteStream, Clock};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The name in every node's certificate: which node it is says the greeting.
const NODE_NAME: &str = "node.esker";
/// Shortest secret that is taken, in bytes: what is shorter can be guessed.
pub const SECRET_LEN_MIN: usize = 16;
/// An Ed25519 key in PKCS #8, before its 32 bytes.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A stream of bytes, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Why nodes cannot prove to each other who they are.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// The secret can be guessed.
    #[error(
        "the cluster's secret has {0} bytes, and at least {SECRET_LEN_MIN} are needed: take the output of `openssl rand -hex 32`"
    )]
    ShortSecret(usize),
    /// A certificate or a key that is of no use.
    #[error("TLS between nodes: {0}")]
    Unusable(String),
}

/// How connections between nodes are secured.
#[derive(Clone)]
pub enum PeerSecurity {
    /// Not at all: in simulations.
    Open,
    /// Mutual TLS.
    Tls {
        /// How to connect.
        client: Arc<ClientConfig>,
        /// How to accept.
        server: Arc<ServerConfig>,
    },
}

impl fmt::Debug for PeerSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Tls { .. } => "Tls",
        })
    }
}

/// The world's wall clock, for the validity of certificates.
struct Wall(Arc<dyn Clock>);

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.wall().get()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

fn unusable(error: impl fmt::Display) -> SecurityError {
    SecurityError::Unusable(error.to_string())
}

impl PeerSecurity {
    /// Mutual TLS among all who have the secret.
    ///
    /// # Errors
    /// [`SecurityError::ShortSecret`].
    pub fn from_secret(secret: &[u8], clock: &Arc<dyn Clock>) -> Result<Self, SecurityError> {
        if secret.len() < SECRET_LEN_MIN {
            return Err(SecurityError::ShortSecret(secret.len()));
        }
        let authority_key = authority_key(secret)?;
        let authority_params = authority_params();
        let authority = authority_params.self_signed(&authority_key).map_err(unusable)?;
        let issuer = Issuer::from_params(&authority_params, &authority_key);
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(unusable)?;
        let certificate = node_params()?.signed_by(&key, &issuer).map_err(unusable)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        Self::from_certificates(vec![authority.der().clone()], chain, &key, clock)
    }

    /// Mutual TLS with certificates of somebody's own authority. Each node's certificate names `node.esker` and is good for
    /// clients and servers.
    ///
    /// # Errors
    /// [`SecurityError::Unusable`].
    pub fn from_certificates(
        authorities: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SecurityError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let time: Arc<dyn TimeProvider> = Arc::new(Wall(Arc::clone(clock)));
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(unusable)?;
        }
        let roots = Arc::new(roots);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(unusable)?;
        let client = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&time))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        let server = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key.clone_key())
            .map_err(unusable)?;
        Ok(Self::Tls { client: Arc::new(client), server: Arc::new(server) })
    }

    pub(crate) async fn connected(
        &self,
        stream: Box<dyn ByteStream>,
    ) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Open => Ok(Box::new(stream)),
            Self::Tls { client, .. } => {
                let name = ServerName::try_from(NODE_NAME).map_err(io::Error::other)?;
                let stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await?;
                Ok(Box::new(stream))
            }
        }
    }

    pub(crate) async fn accepted(
        &self,
        stream: Box<dyn ByteStream>,
    ) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Open => Ok(Box::new(stream)),
            Self::Tls { server, .. } => {
                Ok(Box::new(TlsAcceptor::from(Arc::clone(server)).accept(stream).await?))
            }
        }
    }
}

/// A number that follows from the cluster's secret and from what it is `of`: nodes that know both need not agree on one.
#[must_use]
pub fn derived_id(secret: &[u8], of: &[u8]) -> u128 {
    let salt = Salt::new(HKDF_SHA256, b"esker cluster id");
    let mut bytes = [0; 32];
    let derived = salt.extract(secret);
    let derived = derived.expand(&[of], HKDF_SHA256).and_then(|id| id.fill(&mut bytes));
    derived.expect("HKDF gives 32 bytes");
    let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = bytes;
    u128::from_le_bytes(id)
}

fn authority_key(secret: &[u8]) -> Result<KeyPair, SecurityError> {
    let salt = Salt::new(HKDF_SHA256, b"esker cluster authority");
    let mut seed = [0; 32];
    let derived =
        salt.extract(secret).expand(&[b"ed25519"], HKDF_SHA256).and_then(|o| o.fill(&mut seed));
    derived.map_err(|_| unusable("the secret gives no key"))?;
    let der = [&PKCS8_HEAD[..], &seed].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)
        .map_err(unusable)
}

/// The same on every node.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Esker cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn node_params() -> Result<CertificateParams, SecurityError> {
    let mut params = CertificateParams::new(vec![NODE_NAME.to_owned()]).map_err(unusable)?;
    params.distinguished_name.push(DnType::CommonName, "Esker node");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}
