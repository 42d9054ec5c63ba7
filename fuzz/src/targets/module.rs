//! Modules: any bytes end in a report, and a report refuses with reasons or has all it takes to run.

use caxton_model::{LimitName, Limits};
use caxton_package::{inspect, verify};

pub fn check(bytes: &[u8]) {
    let report = inspect(bytes);
    assert_eq!(report.size_bytes, bytes.len() as u64);
    let shown = report.to_string();
    let json = serde_json::to_vec(&report).expect("a report is JSON");
    // Names are cut and lists are bounded: a report is no way to fill memory.
    assert!(json.len() < 100_000 + 400 * bytes.len(), "{}", json.len());
    for reason in &report.reasons {
        assert!(!reason.text.is_empty() && !reason.remedy.is_empty());
        assert!(shown.contains(&reason.text));
    }
    match verify(bytes, &Limits::unlimited()) {
        Err(error) => {
            assert!(!report.reasons.is_empty(), "{error}");
            assert_eq!(error.code(), report.reasons[0].code);
        }
        Ok(verified) => {
            assert!(report.reasons.is_empty());
            assert_eq!(**verified.report(), report);
            assert_eq!(&**verified.bytes(), bytes);
            let form = report.form.expect("what runs has a form");
            assert_eq!(report.kind, Some(form.kind()));
            let offered = |import: &caxton_package::ImportReport| import.class.is_some();
            assert!(report.imports.iter().all(offered), "{shown}");
        }
    }
    if !bytes.is_empty() {
        let mut limits = Limits::unlimited();
        limits.set(LimitName::ModuleBytes, bytes.len() as u64 - 1);
        assert!(verify(bytes, &limits).is_err());
    }
}
