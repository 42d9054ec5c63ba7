//! TLS as a client.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{EgressOptions, HttpFailure, OptionsError, target::Origin};

/// Reads the trusted authorities. Blocking.
///
/// Errors: [`OptionsError::Authority`], [`OptionsError::Tls`].
pub(crate) fn connector(options: &EgressOptions) -> Result<TlsConnector, OptionsError> {
    let mut roots = RootCertStore::empty();
    if options.system_authorities {
        let found = rustls_native_certs::load_native_certs();
        let (_, unreadable) = roots.add_parsable_certificates(found.certs);
        let unreadable = unreadable + found.errors.len();
        if roots.is_empty() || unreadable > 0 {
            let usable = roots.len();
            tracing::warn!(
                usable,
                unreadable,
                "the system's certificate authorities were read"
            );
        }
    }
    for (index, pem) in options.authorities.iter().enumerate() {
        let refused = |reason: String| OptionsError::Authority {
            number: index + 1,
            reason,
        };
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| refused(error.to_string()))?;
        if certificates.is_empty() {
            return Err(refused("there is no certificate in it".to_owned()));
        }
        for certificate in certificates {
            let added = roots.add(certificate);
            added.map_err(|error| refused(error.to_string()))?;
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OptionsError::Tls {
            reason: error.to_string(),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Agrees on TLS, for the origin's name and not for the address that it was resolved to.
///
/// Errors: [`HttpFailure::TlsFailed`].
pub(crate) async fn agree(
    connector: &TlsConnector,
    origin: &Origin,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, HttpFailure> {
    let failed = |reason: String| HttpFailure::TlsFailed {
        host: origin.to_string(),
        reason,
    };
    let name = ServerName::try_from(origin.host().to_owned())
        .map_err(|_| failed("its name can't stand in a certificate".to_owned()))?;
    connector
        .connect(name, stream)
        .await
        .map_err(|error| failed(error.to_string()))
}

/// True if the server chose HTTP/2.
pub(crate) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
