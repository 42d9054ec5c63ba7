//! C: the system's clang where it can do wasm32 with WASI's libc, else Debian's in the prefix.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{DebianPins, Tool, debian, first_line, once, version::at_least};

/// How a compiler is got where Debian's packages do not give one.
const REMEDY: &str =
    "install clang with its wasm32 backend, wasm-ld and WASI's libc; then run this again";

/// Finds or installs it.
pub(super) fn find(prefix: &Path, pins: &DebianPins) -> anyhow::Result<Tool> {
    if let Some(tool) = system()
        && at_least("clang", &tool.fingerprint, &pins.minimum, REMEDY).is_ok()
    {
        println!("c: {} of the system", tool.fingerprint);
        return Ok(tool);
    }
    let dir = prefix.join("c");
    once(&dir, &pins.wanted(), "c", || {
        debian::unpack(prefix, pins, REMEDY, &dir)
    })?;
    let library_path = debian::library_path(&dir)?;
    let clang = dir.join("usr/bin/clang");
    let env = vec![("LD_LIBRARY_PATH".to_owned(), library_path)];
    let linker = fs::read_dir(dir.join("usr/bin"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("wasm-ld"))
        })
        .context("the packages brought no wasm-ld")?;
    let tool =
        tool(clang, &linker, dir.join("usr"), env).context("the unpacked clang does not run")?;
    at_least("clang", &tool.fingerprint, &pins.minimum, REMEDY)?;
    println!("c: {}", tool.fingerprint);
    Ok(tool)
}

fn system() -> Option<Tool> {
    let linker = PathBuf::from("wasm-ld");
    first_line(Command::new(&linker).arg("--version"))?;
    let runtime = first_line(Command::new("clang").args([
        "--target=wasm32-wasi",
        "--rtlib=compiler-rt",
        "-print-libgcc-file-name",
    ]))?;
    let sysroot = Path::new("/usr/lib/wasm32-wasi/crt1-reactor.o");
    if !sysroot.exists() || !Path::new(&runtime).exists() {
        return None;
    }
    tool("clang".into(), &linker, "/usr".into(), Vec::new())
}

fn tool(
    program: PathBuf,
    linker: &Path,
    sysroot: PathBuf,
    env: Vec<(String, String)>,
) -> Option<Tool> {
    let env_pairs = || env.iter().map(|(k, v)| (k, v));
    let clang = first_line(Command::new(&program).arg("--version").envs(env_pairs()))?;
    let lld = first_line(Command::new(linker).arg("--version").envs(env_pairs()))?;
    let version = |text: &str| {
        text.split_whitespace()
            .find(|w| w.starts_with(|c: char| c.is_ascii_digit()))
            .unwrap_or("?")
            .to_owned()
    };
    let mut args = vec![
        "--sysroot".to_owned(),
        sysroot.display().to_string(),
        "-isystem".to_owned(),
        sysroot.join("include/wasm32-wasi").display().to_string(),
    ];
    // An absolute linker: clang looks for `wasm-ld` beside itself and on the path only.
    if linker.is_absolute() {
        args.push(format!("-fuse-ld={}", linker.display()));
    }
    Some(Tool {
        fingerprint: format!("clang {}, wasm-ld {}", version(&clang), version(&lld)),
        program,
        args,
        env,
    })
}
