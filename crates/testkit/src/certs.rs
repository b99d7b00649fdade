//! A certificate authority that lives as long as a test.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// A certificate and its private key, both PEM text.
#[derive(Clone, Debug)]
pub struct Pem {
    /// The certificate (leaf only).
    pub cert: String,
    /// The private key (PKCS#8).
    pub key: String,
}

/// Where [`Pem::write`] put the two files.
#[derive(Clone, Debug)]
pub struct Files {
    /// Path of the certificate.
    pub cert: PathBuf,
    /// Path of the private key.
    pub key: PathBuf,
}

impl Pem {
    /// Writes `<name>.crt` and `<name>.key` into `folder`.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<Files> {
        let files = Files {
            cert: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.cert, &self.cert)?;
        std::fs::write(&files.key, &self.key)?;
        Ok(files)
    }
}

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    /// Makes a fresh authority with a random key.
    ///
    /// # Panics
    /// When key generation fails, which means that the machine has no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "testkit CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key pair");
        let pem = params
            .self_signed(&key)
            .expect("a self-signed certificate")
            .pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// The authority's certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes the authority's certificate to `<folder>/ca.crt`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join("ca.crt");
        std::fs::write(&path, &self.pem)?;
        Ok(path)
    }

    /// A server certificate for the given names; texts that are IP addresses become IP names.
    ///
    /// # Panics
    /// When a name is not a valid DNS name.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> Pem {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("valid subject names");
        params
            .distinguished_name
            .push(DnType::CommonName, "testkit server");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A client certificate with the given common name (user) and organization (group); an empty text leaves the
    /// entry out.
    #[must_use]
    pub fn client(&self, common_name: &str, organization: &str) -> Pem {
        let mut params = CertificateParams::default();
        // The default has a common name of its own.
        params.distinguished_name = DistinguishedName::new();
        if !common_name.is_empty() {
            params
                .distinguished_name
                .push(DnType::CommonName, common_name);
        }
        if !organization.is_empty() {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Pem {
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key pair");
        let cert = params
            .signed_by(&key, &self.issuer)
            .expect("a signed certificate");
        Pem {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Ca {
    fn default() -> Self {
        Self::new()
    }
}
