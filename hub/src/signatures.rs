//! Whose signatures on prescriptions are believed: those made by the key of a certificate that leads to a root of this
//! site.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use hub_domain::workflows::eps::signature::{Invalid, Signature, Verifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use schemas::time::Timestamp;
use webpki::ring::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};

/// By which certificates may be signed.
const CHAINS: [&dyn SignatureVerificationAlgorithm; 3] =
    [RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512];

/// The certificates at which chains may end.
pub(crate) struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// Reads a file of certificates in PEM.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let mut roots = Vec::new();
        for certificate in CertificateDer::pem_file_iter(file).context("it cannot be read")? {
            let certificate = certificate.context("it is no PEM")?;
            let root = anchor_from_trusted_cert(&certificate).context("a certificate in it is no root")?;
            roots.push(root.to_owned());
        }
        anyhow::ensure!(!roots.is_empty(), "it has no certificate");
        Ok(Self(roots))
    }
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} roots", self.0.len())
    }
}

impl Verifier for Roots {
    /// Revocation is not looked at.
    fn verify(&self, signature: &Signature, at: Timestamp) -> Result<(), Invalid> {
        let mut certificates = signature.certificates.iter().map(|der| CertificateDer::from(der.as_slice()));
        let signer = certificates.next().ok_or(Invalid::Incomplete)?;
        let signer = EndEntityCert::try_from(&signer).map_err(|_| Invalid::NoCertificate)?;
        let between: Vec<CertificateDer> = certificates.collect();
        let now = UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(at.0).unwrap_or_default()));
        signer.verify_for_usage(&CHAINS, &self.0, &between, now, AnyUsage, None, None).map_err(of_chain)?;
        let made = signer.verify_signature(RSA_PKCS1_2048_8192_SHA256, &signature.signed, &signature.value);
        made.map_err(|_| Invalid::OtherKey)
    }
}

fn of_chain(error: Error) -> Invalid {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Invalid::OutOfTime,
        _ => Invalid::Untrusted,
    }
}

/// No extended usage is registered for signing prescriptions.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &[u8] = b"what was signed";

    fn key(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
    }

    fn der(name: &str) -> Vec<u8> {
        CertificateDer::from_pem_file(key(name)).unwrap().to_vec()
    }

    fn signature(certificates: &[&str]) -> Signature {
        let pem = std::fs::read(key("prescriber-rsa.pem")).unwrap();
        let private = jsonwebtoken::EncodingKey::from_rsa_pem(&pem).unwrap();
        let value = jsonwebtoken::crypto::sign(SIGNED, &private, jsonwebtoken::Algorithm::RS256).unwrap();
        use base64::Engine as _;
        Signature {
            signed: SIGNED.to_vec(),
            value: base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(value).unwrap(),
            certificates: certificates.iter().map(|name| der(name)).collect(),
        }
    }

    fn now() -> Timestamp {
        crate::clock::now()
    }

    #[test]
    fn what_leads_to_a_root_is_believed() {
        let roots = Roots::read(&key("prescribers-root.pem")).unwrap();
        assert_eq!(roots.verify(&signature(&["prescriber.pem", "prescribers-issuer.pem"]), now()), Ok(()));
    }

    #[test]
    fn anything_else_is_told_apart() {
        let roots = Roots::read(&key("prescribers-root.pem")).unwrap();
        let good = signature(&["prescriber.pem", "prescribers-issuer.pem"]);
        let others = Roots::read(&key("strangers-root.pem")).unwrap();
        assert_eq!(others.verify(&good, now()), Err(Invalid::Untrusted));
        assert_eq!(roots.verify(&signature(&["prescriber.pem"]), now()), Err(Invalid::Untrusted), "one is left out");
        assert_eq!(roots.verify(&signature(&["strangers-root.pem"]), now()), Err(Invalid::Untrusted));
        assert_eq!(roots.verify(&good, Timestamp(0)), Err(Invalid::OutOfTime));
        let changed = Signature { signed: b"something else".to_vec(), ..good.clone() };
        assert_eq!(roots.verify(&changed, now()), Err(Invalid::OtherKey));
        let garbage = Signature { certificates: vec![b"no certificate".to_vec()], ..good.clone() };
        assert_eq!(roots.verify(&garbage, now()), Err(Invalid::NoCertificate));
        assert_eq!(roots.verify(&Signature { certificates: Vec::new(), ..good }, now()), Err(Invalid::Incomplete));
    }

    #[test]
    fn a_file_without_roots_is_refused() {
        assert!(Roots::read(&key("prescriber-rsa.pem")).is_err());
        assert!(Roots::read(&key("there-is-none.pem")).is_err());
    }
}
