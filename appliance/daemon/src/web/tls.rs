//! The page's certificate: made at first start, or uploaded, and what rustls is given of it.

use crate::accounts::secret::hex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

const FILE: &str = "certificate.pem";
/// At the head of the file of a certificate that the box has made.
const OWN: &str = "# made by the box\n";

/// A certificate with its key, as PEM.
pub struct Certificate {
    pem: String,
    /// What rustls is given.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Whether the box has made it.
    pub is_own: bool,
}

impl Certificate {
    /// The certificate of a data folder, made when there is none.
    ///
    /// # Errors
    /// The folder cannot be used, or holds what is no certificate.
    pub fn of(folder: &Path, names: Vec<String>) -> Result<Self> {
        match std::fs::read_to_string(folder.join(FILE)) {
            Ok(pem) => Self::parse(pem),
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                let made = rcgen::generate_simple_self_signed(names).map_err(Error::other)?;
                let own = Self::parse(format!("{OWN}{}{}", made.cert.pem(), made.signing_key.serialize_pem()))?;
                own.store(folder)?;
                Ok(own)
            }
            Err(fault) => Err(fault),
        }
    }

    /// A certificate and its key.
    ///
    /// # Errors
    /// They are none, or do not fit each other.
    pub fn uploaded(certificate: &str, key: &str) -> Result<Self> {
        Self::parse(format!("{}\n{}\n", certificate.trim(), key.trim()))
    }

    fn parse(pem: String) -> Result<Self> {
        let invalid = |fault: String| Error::new(ErrorKind::InvalidData, fault);
        let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let chain = chain.map_err(|fault| invalid(format!("the certificate is no PEM: {fault}")))?;
        let first = chain.first().ok_or_else(|| invalid("there is no certificate in it".to_owned()))?;
        let fingerprint = hex(&Sha256::digest(first));
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
        let key = key.map_err(|fault| invalid(format!("there is no private key in it: {fault}")))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|fault| invalid(format!("certificate and key cannot be used: {fault}")))?;
        let mut config = config;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { is_own: pem.starts_with(OWN), pem, config: Arc::new(config), fingerprint })
    }

    /// Keeps it in a data folder, for its owner alone.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&self, folder: &Path) -> Result<()> {
        let temporary = folder.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(self.pem.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, folder.join(FILE))?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_certificate_is_made_once_and_can_be_exchanged() {
        let folder = tempfile::tempdir().unwrap();
        let names = || vec!["tapcopy".to_owned()];
        let own = Certificate::of(folder.path(), names()).unwrap();
        assert!(own.is_own && own.fingerprint.len() == 64);
        assert_eq!(Certificate::of(folder.path(), names()).unwrap().fingerprint, own.fingerprint);
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = rcgen::generate_simple_self_signed(names()).unwrap();
        let (certificate, key) = (other.cert.pem(), other.signing_key.serialize_pem());
        Certificate::uploaded(&certificate, &key).unwrap().store(folder.path()).unwrap();
        let kept = Certificate::of(folder.path(), names()).unwrap();
        assert!(!kept.is_own && kept.fingerprint != own.fingerprint);
        let strange = rcgen::generate_simple_self_signed(names()).unwrap().signing_key.serialize_pem();
        for (certificate, key) in [(certificate.as_str(), strange.as_str()), ("", &key), (&certificate, ""), ("x", "y")]
        {
            assert!(Certificate::uploaded(certificate, key).is_err());
        }
    }
}
