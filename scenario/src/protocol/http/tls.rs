//! TLS as Gatling does it by default: every certificate is accepted, the name is sent (SNI), and
//! each connection makes a full handshake, as each new user does.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// # Errors
/// When the crypto provider knows no protocol version of ours.
pub(super) fn trusting_config() -> Result<ClientConfig, String> {
    let provider = ring::default_provider();
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll(schemes)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Why a handshake failed; where both sides have no version or suite in common, also what ours has:
/// what is missing of Gatling's are older ones, which the library leaves out (`docs/gatling.md`).
pub(super) fn why(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let nothing_in_common = matches!(
        of_tls,
        Some(
            Error::PeerIncompatible(_)
                | Error::AlertReceived(
                    AlertDescription::HandshakeFailure
                        | AlertDescription::ProtocolVersion
                        | AlertDescription::InsufficientSecurity
                )
        )
    );
    let offer = match nothing_in_common {
        true => "; TLS 1.2 and 1.3 are offered, with ECDHE and AES-GCM or ChaCha20-Poly1305",
        false => "",
    };
    format!("TLS handshake failed: {error}{offer}")
}

/// A load generator measures its target; it does not authenticate it. Where anybody's certificate will
/// do, the signature of the handshake proves nothing that an impostor could not prove with his own: it
/// is not looked at, and so no certificate is read (of X.509 v1, with extensions or keys that nobody
/// knows).
#[derive(Debug)]
struct TrustAll(Vec<SignatureScheme>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    /// A certificate without a version, as old tools make them: `openssl x509 -req`.
    const V1: &str = concat!(
        "MIIBJDCBywIUXNZjEnHqN5T6ROvpWCH8WMVMg2wwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0",
        "MCAXDTI2MTEyOTE4MTMyOVoYDzIxMjYxMTA1MTgxMzI5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcq",
        "hkjOPQIBBggqhkjOPQMBBwNCAARp3mmJASAwgdPawzuLwHarrPJPKELmwR3uWme1Pim+3eXtLERet+4qpRra",
        "n3KFd1iCANpetO7Wn11ZTaWVhn9TMAoGCCqGSM49BAMCA0gAMEUCIGryf5Zku1YPD2j/qMv0jQv9rDewLqM0",
        "wjkWdtgfjSSTAiEA54kfJIUPY/AGmQ211QgTgO0ZY/30bd2Afp46Zw4LB8I=",
    );
    const V1_KEY: &str = concat!(
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgR5b1iBlmwpxemu1J8Tj451JDY9S6X81t6Dgi",
        "sOZeVlChRANCAARp3mmJASAwgdPawzuLwHarrPJPKELmwR3uWme1Pim+3eXtLERet+4qpRran3KFd1iCANpe",
        "tO7Wn11ZTaWVhn9T",
    );

    fn decoded(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    /// With an extension that nobody knows and that must be known, and expired.
    fn unheard_of() -> (Vec<u8>, Vec<u8>) {
        let mut params = rcgen::CertificateParams::new(vec!["another.example".to_owned()]).unwrap();
        let mut extension =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 9_999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().der().to_vec(), key.serialize_der())
    }

    /// A server that does not read its own certificate either.
    #[derive(Debug)]
    struct Fixed(Arc<CertifiedKey>);

    impl ResolvesServerCert for Fixed {
        fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    /// Both sides of a handshake, without a network; what the client says.
    fn shake(
        cert: Vec<u8>,
        key: Vec<u8>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(), Error> {
        let key = PrivateKeyDer::try_from(key).unwrap();
        let signs = ring::sign::any_supported_type(&key)?;
        let certified = CertifiedKey::new(vec![CertificateDer::from(cert)], signs);
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Fixed(Arc::new(certified))));
        let mut server = ServerConnection::new(Arc::new(server))?;
        let client = Arc::new(trusting_config().unwrap());
        let mut client = ClientConnection::new(client, ServerName::try_from("localhost").unwrap())?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut sent).unwrap();
            }
            let mut sent = &sent[..];
            while !sent.is_empty() {
                server.read_tls(&mut sent).unwrap();
                server.process_new_packets()?;
            }
            let mut answered = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut answered).unwrap();
            }
            let mut answered = &answered[..];
            while !answered.is_empty() {
                client.read_tls(&mut answered).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_server_of_old_suites_or_versions_is_told_what_is_offered() {
        let said = |error: Error| why(&io::Error::new(io::ErrorKind::InvalidData, error));
        for alert in [AlertDescription::HandshakeFailure, AlertDescription::ProtocolVersion] {
            let text = said(Error::AlertReceived(alert));
            assert!(text.starts_with("TLS handshake failed: received fatal alert: "), "{text}");
            assert!(text.ends_with(
                "; TLS 1.2 and 1.3 are offered, with ECDHE and AES-GCM or ChaCha20-Poly1305"
            ));
        }
        let other = said(Error::AlertReceived(AlertDescription::UnrecognisedName));
        assert_eq!(other, "TLS handshake failed: received fatal alert: UnrecognisedName");
        assert_eq!(why(&io::Error::other("gone")), "TLS handshake failed: gone");
    }

    #[test]
    fn certificates_that_no_verifier_reads_are_taken() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            assert_eq!(shake(decoded(V1), decoded(V1_KEY), version), Ok(()), "X.509 v1");
            let (cert, key) = unheard_of();
            assert_eq!(shake(cert, key, version), Ok(()), "an unknown critical extension");
        }
    }
}
