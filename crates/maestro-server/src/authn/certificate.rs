//! The user in a client certificate: common name and organizations.

use kube_access::reviews::User;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Decode as _, Tag, Tagged as _};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// Longest name of a user or group, bytes.
pub(super) const MAX_NAME_BYTES: usize = 1024;

/// Common name (empty if there is none) and organizations of a certificate in DER form. As in Go, the last of several
/// common names counts. `None` if the certificate can't be read, or a name isn't plain text: such a name could be read
/// as somebody else's.
#[must_use]
pub fn user_of(der: &[u8]) -> Option<User> {
    let certificate = Certificate::from_der(der).ok()?;
    let mut user = User {
        username: String::new(),
        groups: Vec::new(),
    };
    let names = certificate.tbs_certificate.subject.0.iter();
    for attribute in names.flat_map(|name| name.0.iter()) {
        let text = || {
            let value = &attribute.value;
            let text = match value.tag() {
                Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str(),
                Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str(),
                Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str(),
                _ => return None,
            };
            is_name(text).then(|| text.to_owned())
        };
        match attribute.oid {
            COMMON_NAME => user.username = text()?,
            ORGANIZATION => user.groups.push(text()?),
            _ => {}
        }
    }
    Some(user)
}

/// Whether a text can be the name of a user or group.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    fn read(common_name: &str, organization: &str) -> Option<User> {
        let pem = testkit::certs::Ca::new().client(common_name, organization);
        user_of(&CertificateDer::from_pem_slice(pem.cert.as_bytes()).unwrap())
    }

    #[test]
    fn names_come_from_the_subject() {
        let user = read("system:open-cluster-management:c1:agent", "größe").unwrap();
        assert_eq!(user.username, "system:open-cluster-management:c1:agent");
        assert_eq!(user.groups, ["größe"]);
        assert_eq!(read("u", "").unwrap().groups, Vec::<String>::new());
        assert_eq!(read("", "g").unwrap().username, "");
    }

    #[test]
    fn what_cant_be_read_is_nobody() {
        assert_eq!(user_of(b""), None);
        assert_eq!(user_of(&[0x30; 400]), None);
        assert_eq!(read("admin\u{0}.example", "g"), None);
        assert_eq!(read(&"x".repeat(MAX_NAME_BYTES + 1), "g"), None);
    }

    proptest::proptest! {
        #[test]
        fn broken_certificates_are_no_trouble(at in 0usize..1000, put: u8, end in 0usize..1000) {
            let pem = testkit::certs::Ca::new().client("u", "g");
            let mut der = CertificateDer::from_pem_slice(pem.cert.as_bytes()).unwrap().to_vec();
            let at = at % der.len();
            der[at] = put;
            let _ = user_of(&der);
            let _ = user_of(&der[..end % der.len()]);
        }
    }
}
