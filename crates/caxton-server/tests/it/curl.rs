//! The script of the documentation, run as it stands.

use std::{path::PathBuf, process::Stdio};

use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread")]
async fn the_script_of_the_documentation_runs() {
    let directory = tempfile::tempdir().unwrap();
    let harness = Harness::with(Default::default(), Some(directory.path().to_owned())).await;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = tokio::process::Command::new("sh")
        .arg("docs/curl.sh")
        .current_dir(&root)
        .env("CAXTON_URL", harness.server.url())
        .env("CAXTON_DATA", directory.path())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("HELLO WORLD"), "{out}\n{err}");
    assert!(
        harness
            .client()
            .agents(&Default::default())
            .await
            .unwrap()
            .is_empty()
    );
    harness.stop().await;
}

#[test]
fn the_page_shows_the_lines_of_the_script() {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let script = std::fs::read_to_string(docs.join("curl.sh")).unwrap();
    let page = std::fs::read_to_string(docs.join("curl.md")).unwrap();
    for block in script.split("\n\n").filter(|block| block.contains("curl ")) {
        assert!(page.contains(block.trim()), "curl.md lacks:\n{block}");
    }
}
