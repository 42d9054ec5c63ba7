//! The bytes of version 1, and that no text is taken for anything else.

use std::{fmt::Write as _, sync::Arc};

use caxton_model::{
    AuditAction, AuditOutcome, AuditRecord, AuditSubject, AuditSubjectKind, Permission, Timestamp,
};

use super::{open, options, record, verify, write};
use crate::{
    FaultyFiles,
    audit::{AuditQuery, AuditReader, SignedHead, signed_head::hex, v1::AuditKind},
    log::Log,
};

/// One record of each action, with every kind of subject, outcome and permission among them.
fn samples() -> Vec<AuditRecord> {
    let most = AuditAction::ALL.len().max(Permission::ALL.len());
    let pick = |all: usize, number: usize| number % all;
    (0..most)
        .map(|n| {
            let subject = AuditSubject {
                kind: AuditSubjectKind::ALL[pick(AuditSubjectKind::ALL.len(), n)],
                name: "n".to_owned(),
                id: n.to_string(),
            };
            let action = AuditAction::ALL[pick(AuditAction::ALL.len(), n)];
            let outcome = AuditOutcome::ALL[pick(AuditOutcome::ALL.len(), n)];
            let mut record = AuditRecord::new(Timestamp(1_000_000), subject, action, outcome);
            record.permission = Permission::ALL.get(n).copied();
            record.namespace = (n % 2 == 0).then(|| "acme".to_owned());
            record.target = (n % 3 == 0).then(|| "t".to_owned());
            if n % 4 == 0 {
                record = record.with("a", "1").with("b", "ä");
            }
            record
        })
        .collect()
}

#[test]
fn an_audit_record_of_version_1_has_the_bytes_it_always_had() {
    let mut text = String::from(
        "Audit records of version 1, each with its bytes. A test holds them; `docs/specs/audit.md` has the form.\n",
    );
    for record in samples() {
        let mut bytes = Vec::new();
        AuditKind::encode(&record, &mut bytes).unwrap();
        assert_eq!(AuditKind::decode(&bytes).as_ref(), Ok(&record));
        let json = serde_json::to_string(&record).unwrap();
        writeln!(text, "\n{json}\n{}", hex(&bytes)).unwrap();
    }
    expect_test::expect_file!["../../../../../docs/specs/audit-records.txt"].assert_eq(&text);
}

#[test]
fn bytes_that_are_no_audit_record_are_refused_in_words() {
    let mut bytes = Vec::new();
    AuditKind::encode(&record(0), &mut bytes).unwrap();
    assert!(AuditKind::decode(&bytes[..bytes.len() - 1]).is_err());
    bytes[0] = 9;
    assert_eq!(
        AuditKind::decode(&bytes).unwrap_err(),
        "9 is no number of a version of an audit record that this program knows"
    );
}

#[test]
fn text_that_looks_like_records_forges_none() {
    let disk = FaultyFiles::default();
    let (shared, mut scribe, _) = open(&disk, &options()).unwrap();
    let line = r#"{"place":9,"at":"2026-01-01T00:00:00.000000Z","action":"login"}"#;
    let texts = [
        format!("x\n{line}\n"),
        "CXG1\u{1}\0\0\0\u{10}\0\0\0".repeat(20),
        "CAXTONA\n\u{1}\0\0\0".to_owned(),
        "\u{1b}[2J\r\n\u{202e}\"}".to_owned(),
        shared.head().to_json(),
    ];
    for text in &texts {
        let mut forged = record(1).with(text.clone(), text.clone());
        forged.subject.name.clone_from(text);
        forged.target = Some(text.clone());
        shared.append(forged).unwrap();
        assert!(write(&mut scribe).unwrap());
    }
    let report = verify(&disk, &[shared.head()]);
    assert!(
        report.is_good() && report.records == texts.len() as u64,
        "{report:?}"
    );
    let reader = AuditReader::over(Arc::new(disk.clone()));
    let mut out = Vec::new();
    let lines = reader.export(&AuditQuery::default(), &mut out).unwrap();
    assert_eq!(lines, texts.len() as u64);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.lines().count(), texts.len());
    for (number, (line, text)) in out.lines().zip(&texts).enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["place"], number + 1);
        assert_eq!(line["target"].as_str().unwrap(), text, "verbatim");
        assert_eq!(line["action"], "install");
    }
}

#[test]
fn a_signed_head_is_read_as_it_was_written_and_no_bit_of_it_may_change() {
    let disk = FaultyFiles::default();
    let (shared, _, _) = open(&disk, &options()).unwrap();
    let head = shared.head();
    let text = head.to_json();
    assert_eq!(SignedHead::from_json(&text), Ok(head.clone()));
    assert!(head.is_genuine());
    for (at, byte) in text.bytes().enumerate() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if byte == b'1' { b'2' } else { b'1' };
        if let Ok(changed) = SignedHead::from_json(&String::from_utf8_lossy(&bytes)) {
            assert!(!changed.is_genuine(), "byte {at}");
        }
    }
}
