//! A certificate authority in memory, and certificates in files of their own folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

/// Issues certificates, which are gone with it.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    issued: AtomicUsize,
}

/// A certificate and its key, in files.
pub(crate) type Files = (PathBuf, PathBuf);

impl Authority {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("tautline-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join("root.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key), issued: AtomicUsize::new(0) }
    }

    /// The file of its own certificate.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    /// A certificate for a server of these names.
    pub(crate) fn server(&self, names: &[&str]) -> Files {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, 2020, 2100)
    }

    /// One that was valid in other years.
    pub(crate) fn server_of(&self, from: i32, until: i32) -> Files {
        self.issue(&["localhost"], ExtendedKeyUsagePurpose::ServerAuth, from, until)
    }

    /// A certificate of an authority, which is shown by a server all the same.
    pub(crate) fn authority_as_server(&self) -> Files {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (self.file("ca.pem", &certificate.pem()), self.file("ca-key.pem", &key.serialize_pem()))
    }

    /// A certificate for a client.
    pub(crate) fn client(&self, name: &str) -> Files {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth, 2020, 2100)
    }

    fn issue(
        &self,
        names: &[&str],
        purpose: ExtendedKeyUsagePurpose,
        from: i32,
        until: i32,
    ) -> Files {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![purpose];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(1000 + number as u64));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |what: &str| self.folder.join(format!("{number}-{what}.pem"));
        let files = (file("chain"), file("key"));
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    /// A file with its own certificate, and a list of what it has revoked: the certificate that it issued as the
    /// `revoked`th.
    pub(crate) fn root_with_revoked(&self, revoked: u64) -> PathBuf {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(1000 + revoked),
                revocation_time: date_time_ymd(2021, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap().pem().unwrap();
        let root = std::fs::read_to_string(self.root()).unwrap();
        self.file("root-and-revoked.pem", &format!("{root}{list}"))
    }

    /// A file with other content.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
