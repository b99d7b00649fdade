//! The signature checks of `jsonwebtoken`, done by ring: the process has one provider of cryptography.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use signature::Verifier;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring check the signatures of this process. Calling it again does nothing.
pub(super) fn install() {
    // The error is the provider that was installed earlier.
    let _ = PROVIDER.install_default();
}

/// Nothing is signed here.
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let plain = |with: &'static dyn VerificationAlgorithm| {
        let key = key.try_get_as_bytes()?.to_vec();
        Ok(Check::Plain(UnparsedPublicKey::new(with, key)))
    };
    let rsa = |with: &'static RsaParameters| match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            // ring takes numbers without zeros at their beginning.
            let trim = |number: &[u8]| {
                let zeros = number.iter().take_while(|byte| **byte == 0).count();
                number.get(zeros..).unwrap_or_default().to_vec()
            };
            let (n, e) = (trim(n), trim(e));
            Ok(Check::Rsa(with, RsaPublicKeyComponents { n, e }))
        }
        DecodingKeyKind::SecretOrDer(_) => Err(Error::from(ErrorKind::InvalidKeyFormat)),
    };
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let check = match algorithm {
        Algorithm::RS256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::ES256 => plain(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => plain(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => plain(&ED25519),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }?;
    Ok(Box::new(Ring {
        algorithm: *algorithm,
        check,
    }))
}

struct Ring {
    algorithm: Algorithm,
    check: Check,
}

enum Check {
    Plain(UnparsedPublicKey<Vec<u8>>),
    Rsa(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
}

impl Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        match &self.check {
            Check::Plain(key) => key.verify(message, signature),
            Check::Rsa(with, key) => key.verify(with, message, signature),
        }
        .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
