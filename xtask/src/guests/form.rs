//! Whether a built guest is what it is said to be, by its exports: a renamed function is found here.

use anyhow::{Context as _, bail};
use wasmparser::{Parser, Payload, Validator};

/// Checks that bytes are valid and export what the form is recognised by.
pub(super) fn check(form: &str, bytes: &[u8]) -> anyhow::Result<()> {
    Validator::new()
        .validate_all(bytes)
        .context("not valid WebAssembly")?;
    let wanted: &[&str] = match form {
        "A" => &["memory", "handle_message"],
        "B" | "C" => &["memory", "process", "allocate", "deallocate"],
        "D" => &["memory", "_start"],
        "G" => &["memory", "extension_describe", "extension_call"],
        other => bail!("form {other} is not one of A, B, C, D, G"),
    };
    let (exports, imports) = names(bytes)?;
    for name in wanted {
        if !exports.iter().any(|export| export == name) {
            bail!(
                "form {form} needs the export `{name}`; there are {}",
                exports.join(", ")
            );
        }
    }
    let sets_timers = imports.iter().any(|import| import == "set_timer");
    if sets_timers && !exports.iter().any(|export| export == "handle_timer") {
        bail!("it imports `set_timer`, so it must export `handle_timer`");
    }
    Ok(())
}

fn names(bytes: &[u8]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut exports, mut imports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ExportSection(section) => {
                for export in section {
                    exports.push(export?.name.to_owned());
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imports.push(import?.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((exports, imports))
}

#[cfg(test)]
mod tests {
    use super::check;

    /// An empty module, with exports and imports written by hand: section id, size, content.
    fn module(exports: &[&str]) -> Vec<u8> {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        // One memory of one page, so that there is something to export under every name.
        bytes.extend([5, 3, 1, 0, 1]);
        let mut section = vec![u8::try_from(exports.len()).unwrap()];
        for name in exports {
            section.push(u8::try_from(name.len()).unwrap());
            section.extend(name.as_bytes());
            section.extend([2, 0]);
        }
        bytes.push(7);
        bytes.push(u8::try_from(section.len()).unwrap());
        bytes.extend(section);
        bytes
    }

    #[test]
    fn a_form_is_known_by_its_exports() {
        check("A", &module(&["memory", "handle_message"])).unwrap();
        let error = check("B", &module(&["memory", "process", "allocate"])).unwrap_err();
        assert!(error.to_string().contains("`deallocate`"), "{error}");
        assert!(check("Z", &module(&["memory"])).is_err());
        assert!(check("A", b"not wasm").is_err());
    }

    /// Each behaviour in WAT assembles, is valid, and says in its first line what it is for.
    #[test]
    fn every_wat_guest_assembles() {
        let folder = crate::root().join("guests/wat");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(";; "), "{}", path.display());
            let bytes = wat::parse_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                .validate_all(&bytes)
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            count += 1;
        }
        assert!(count > 30, "{count} guests");
    }
}
