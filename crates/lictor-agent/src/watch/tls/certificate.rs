//! What a certificate says of itself.

use lictor_core::{Span, Wall};
use rustls_pki_types::CertificateDer;
use std::time::Duration;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// From when to when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::watch) struct Validity {
    /// First second, Unix time.
    pub(in crate::watch) from: i64,
    /// Last second, Unix time.
    pub(in crate::watch) until: i64,
}

impl Validity {
    /// Reads it from a certificate; `None` when it is not one.
    pub(in crate::watch) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let validity = certificate.tbs_certificate().validity();
        let seconds = |time: &x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
        Some(Self { from: seconds(&validity.not_before)?, until: seconds(&validity.not_after)? })
    }

    /// How long it holds yet; negative when it has ended.
    pub(in crate::watch) const fn seconds_left(self, now: Wall) -> i64 {
        self.until - now.as_unix_millis().div_euclid(1_000)
    }

    /// The same in days.
    pub(in crate::watch) fn days_left(self, now: Wall) -> f64 {
        let seconds = self.seconds_left(now).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        let days = f64::from(i32::try_from(seconds).unwrap_or_default()) / 86_400.0;
        (days * 100.0).floor() / 100.0
    }
}

/// The parts of a certificate that explain why it was refused.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) validity: Option<Validity>,
    pub(super) issuer: String,
    pub(super) self_signed: bool,
}

impl Described {
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let parts = certificate.tbs_certificate();
        Some(Self {
            validity: Validity::of(der),
            issuer: parts.issuer().to_string(),
            self_signed: parts.issuer() == parts.subject(),
        })
    }
}

/// `3d 2h` between two Unix times.
pub(super) fn span(from: i64, to: i64) -> Span {
    Span(Duration::from_secs(to.saturating_sub(from).unsigned_abs()))
}
