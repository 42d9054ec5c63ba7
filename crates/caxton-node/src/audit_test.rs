//! Every decision of a gate has its record before the access, and what can't be recorded is refused.

use std::{sync::Arc, time::Instant};

use caxton_gate::{Denied, Gate, HttpRequest, Refusal};
use caxton_model::{
    AgentId, AgentSpec, AuditAction, AuditOutcome, Digest, Durability, EngineProfile, ErrorCode,
    GrantedRule, Grants, HostCode, Kind, Limits, Supervision, Timestamp,
};
use caxton_store::{AuditOptions, AuditReader, FaultyFiles, Files};

use crate::{NodeOptions, audit::Audit, clock, rights};

/// Longer than a busy machine takes; only a hang reaches it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

fn spec() -> AgentSpec {
    AgentSpec {
        id: AgentId(10),
        name: "acme/a".parse().unwrap(),
        module: Digest::of(b"module"),
        version: "1.0.0".into(),
        durability: Durability::Memory,
        supervision: Supervision::default(),
        limits: Limits::for_kind(Kind::Agent),
        grants: Grants::default(),
        requested: None,
        profile: EngineProfile::default(),
        declared: Vec::new(),
        config: Vec::new(),
        passivate_after_micros: None,
        deployed_at: Timestamp(0),
    }
}

fn gate(audit: &Arc<Audit>) -> Gate {
    let rule = GrantedRule {
        rule: "http:read=api.example/**".to_owned(),
        expires: None,
        reason: None,
        by: "admin".to_owned(),
        at: Timestamp(0),
    };
    rights::gate(&spec(), &[rule], audit)
}

fn check(gate: &Gate, host: &str) -> Result<(), Box<Denied>> {
    let request = HttpRequest::new("GET", &format!("https://{host}/x?token=secret")).unwrap();
    gate.check(request, clock::wall()).map(|_| ())
}

fn open(dir: &std::path::Path, audit: AuditOptions) -> Arc<Audit> {
    let data = Some(dir.to_owned());
    let options = NodeOptions {
        data,
        audit,
        ..NodeOptions::default()
    };
    Arc::new(Audit::open(&options).unwrap())
}

/// A log on a disk that can fail.
fn open_on(disk: &FaultyFiles, dir: &std::path::Path) -> Arc<Audit> {
    let disk = disk.clone();
    let options = AuditOptions {
        segment_bytes: 64 << 10,
        queue_bytes_max: 64 << 10,
        files: Arc::new(move |_| Arc::new(disk.clone()) as Arc<dyn Files>),
        ..AuditOptions::default()
    };
    open(dir, options)
}

/// Asks for what is granted until it is refused.
fn until_refused(gate: &Gate) -> Box<Denied> {
    loop {
        if let Err(denied) = check(gate, "api.example") {
            return denied;
        }
    }
}

#[test]
fn every_decision_has_its_record_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path(), AuditOptions::default());
    let gate = gate(&audit);
    for _ in 0..50 {
        check(&gate, "api.example").unwrap();
        check(&gate, "other.example").unwrap_err();
    }
    let malformed = HttpRequest::new("GET", "https://a b/").unwrap_err();
    let _ = gate.refuse(&malformed, clock::wall());
    audit.close();
    let records = AuditReader::new(dir.path()).tail(1_000).unwrap();
    assert_eq!(records.len() as u64, audit.appended());
    let of = |action: AuditAction, outcome: AuditOutcome| {
        let is = |(_, record): &&(u64, caxton_model::AuditRecord)| {
            (record.action, record.outcome) == (action, outcome)
        };
        records.iter().filter(is).count()
    };
    assert_eq!(of(AuditAction::GateDecision, AuditOutcome::Allowed), 50);
    assert_eq!(of(AuditAction::GateDecision, AuditOutcome::Denied), 51);
    assert_eq!(of(AuditAction::Start, AuditOutcome::Succeeded), 1);
    assert_eq!(of(AuditAction::Stop, AuditOutcome::Succeeded), 1);
    assert_eq!(records.len(), 103);
    let (_, allowed) = &records[1];
    assert_eq!(allowed.namespace.as_deref(), Some("acme"));
    assert_eq!(
        (&*allowed.subject.name, &*allowed.subject.id),
        ("acme/a", "a-000000000000000a")
    );
    assert_eq!(allowed.target.as_deref(), Some("GET https://api.example/x"));
    let text = format!("{records:?}");
    assert!(!text.contains("secret"), "a query is in the log");
}

#[test]
fn on_a_full_disk_what_is_granted_is_refused_until_there_is_room() {
    let (disk, dir) = (FaultyFiles::default(), tempfile::tempdir().unwrap());
    let audit = open_on(&disk, dir.path());
    let gate = gate(&audit);
    check(&gate, "api.example").unwrap();
    disk.set_room(Some(disk.used()));
    let denied = until_refused(&gate);
    assert!(matches!(denied.refusal, Refusal::Unaudited(_)), "{denied}");
    let code = denied.code();
    assert_eq!(
        (code, code.host_code()),
        (ErrorCode::AuditUnavailable, Some(HostCode::Unavailable))
    );
    disk.set_room(None);
    let begun = Instant::now();
    while check(&gate, "api.example").is_err() {
        assert!(begun.elapsed() < PATIENCE, "there is room again");
        std::thread::yield_now();
    }
    audit.close();
}

#[test]
fn after_a_sync_that_failed_nothing_is_allowed_any_more() {
    let (disk, dir) = (FaultyFiles::default(), tempfile::tempdir().unwrap());
    let audit = open_on(&disk, dir.path());
    let gate = gate(&audit);
    disk.fail_syncs();
    let denied = until_refused(&gate);
    assert!(matches!(denied.refusal, Refusal::Unaudited(_)), "{denied}");
    let denied = loop {
        // Where the queue was full first, the failure is still to come.
        let denied = until_refused(&gate);
        if !denied.to_string().contains("wait to be written") {
            break denied;
        }
    };
    assert!(denied.to_string().contains("sync"), "{denied}");
    assert!(check(&gate, "api.example").is_err());
    audit.close();
}

#[test]
fn a_sync_log_has_each_record_on_the_disk_before_its_access() {
    let dir = tempfile::tempdir().unwrap();
    let options = NodeOptions {
        data: Some(dir.path().to_owned()),
        audit_sync: true,
        ..NodeOptions::default()
    };
    let audit = Arc::new(Audit::open(&options).unwrap());
    let gate = gate(&audit);
    for _ in 0..20 {
        check(&gate, "api.example").unwrap();
        // The place of the start's record comes before them.
        assert!(
            audit.durable() >= audit.appended(),
            "an access went before its record"
        );
    }
}

#[test]
fn a_sync_log_whose_disk_fails_refuses_the_access() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyFiles::default());
    let layer = disk.clone();
    let options = NodeOptions {
        data: Some(dir.path().to_owned()),
        audit_sync: true,
        audit: AuditOptions {
            files: Arc::new(move |_| Arc::new(layer.clone()) as Arc<dyn Files>),
            ..AuditOptions::default()
        },
        ..NodeOptions::default()
    };
    let gate = gate(&Arc::new(Audit::open(&options).unwrap()));
    check(&gate, "api.example").unwrap();
    disk.fail_syncs();
    let denied = check(&gate, "api.example").unwrap_err();
    assert!(matches!(denied.refusal, Refusal::Unaudited(_)), "{denied}");
}
