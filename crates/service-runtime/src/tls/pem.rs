//! PEM files to certificates and keys, and the fingerprint by which a change is noticed.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use super::Error;

/// Largest PEM file read, bytes; system bundles are about 250 KB.
const MAX_PEM_BYTES: u64 = 4 * 1024 * 1024;

/// The content of a file, and where it came from.
pub(super) struct Pem {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// SHA-256 over the contents of a set of files.
pub(super) type Fingerprint = [u8; 32];

impl Pem {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let error = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let size = std::fs::metadata(path).map_err(error)?.len();
        if size > MAX_PEM_BYTES {
            return Err(Error::Pem {
                path: path.to_owned(),
                problem: format!("is {size} bytes, more than the {MAX_PEM_BYTES} allowed"),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            bytes: std::fs::read(path).map_err(error)?,
        })
    }

    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&self.bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| self.problem(format!("is not PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(self.problem("holds no certificate".into()));
        }
        Ok(certificates)
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(&self.bytes)
            .map_err(|error| self.problem(format!("holds no private key: {error}")))
    }

    /// Adds every certificate of the file to `store`. System bundles may hold some that rustls cannot use; at least
    /// one must be usable.
    pub(super) fn add_to(&self, store: &mut RootCertStore) -> Result<(), Error> {
        let (added, _ignored) = store.add_parsable_certificates(self.certificates()?);
        if added == 0 {
            return Err(self.problem("holds no usable certificate authority".into()));
        }
        Ok(())
    }

    fn problem(&self, problem: String) -> Error {
        Error::Pem {
            path: self.path.clone(),
            problem,
        }
    }
}

pub(super) fn fingerprint<'a>(files: impl IntoIterator<Item = &'a Pem>) -> Fingerprint {
    let mut hash = Sha256::new();
    for file in files {
        hash.update((file.bytes.len() as u64).to_le_bytes());
        hash.update(&file.bytes);
    }
    hash.finalize().into()
}
