//! Each file of a node's directory is lost, cut short, emptied or zeroed, one at a time, as a power cut
//! may leave it: the node starts with all it had, or says which file it is and what to do.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use caxton_client::{
    AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage,
    api::{NewToken, Scope},
};

use crate::{
    command::guest,
    node::{NodeProcess, up},
};

/// What a power cut may make of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Empty,
    Half,
    Zeros,
    Missing,
}

const CUTS: [Cut; 4] = [Cut::Empty, Cut::Half, Cut::Zeros, Cut::Missing];

/// A directory's files, each with its length and its bytes up to the zeros at its end.
struct Files(BTreeMap<PathBuf, (u64, Vec<u8>)>);

impl Files {
    fn read(root: &Path) -> Self {
        let (mut all, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut bytes = fs::read(&path).unwrap();
                let length = bytes.len() as u64;
                let used = bytes.iter().rposition(|byte| *byte != 0);
                bytes.truncate(used.map_or(0, |last| last + 1));
                all.insert(path.strip_prefix(root).unwrap().to_owned(), (length, bytes));
            }
        }
        Self(all)
    }
    /// Writes them all elsewhere, one of them as a cut leaves it.
    fn write(&self, root: &Path, cut: &Path, how: Cut) {
        for (path, (length, bytes)) in &self.0 {
            let to = root.join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let half = usize::try_from(*length / 2).unwrap().min(bytes.len());
            let (length, bytes) = match how {
                _ if path != cut => (*length, &bytes[..]),
                Cut::Missing => continue,
                Cut::Empty => (0, &[][..]),
                Cut::Half => (*length / 2, &bytes[..half]),
                Cut::Zeros => (*length, &[][..]),
            };
            fs::write(&to, bytes).unwrap();
            fs::File::options()
                .write(true)
                .open(&to)
                .unwrap()
                .set_len(length)
                .unwrap();
        }
    }
}

async fn deploy(client: &CaxtonClient, name: &str) {
    let request = DeployAgentRequest {
        wasm_module: fs::read(guest("counter-c")).unwrap(),
        config: AgentConfig {
            name: name.to_owned(),
            ..AgentConfig::default()
        },
    };
    client.deploy_agent(request).await.unwrap();
}

async fn prepare(client: &CaxtonClient) {
    deploy(client, "counter").await;
    for _ in 0..3 {
        count(client).await;
    }
    let token = NewToken {
        name: "kept".to_owned(),
        scopes: vec![Scope::Read],
        namespace: None,
        clients: Vec::new(),
    };
    client.create_token(&token).await.unwrap();
}

/// Counts one more; what the agent counted until now.
async fn count(client: &CaxtonClient) -> serde_json::Value {
    let message: FipaMessage = FipaMessage {
        performative: "request".to_owned(),
        sender: "me".to_owned(),
        receiver: "counter".into(),
        content: serde_json::json!({ "count": true }),
        ..FipaMessage::default()
    };
    let wait = std::time::Duration::from_secs(60);
    let reply = client.send_message_and_wait(message, wait).await.unwrap();
    reply.content["result"].clone()
}

/// Starts a node over the directory; what is wrong with what came of it.
async fn look(data: &Path, file: &Path, how: Cut) -> Result<(), String> {
    let said = data.with_extension("said");
    let mut command = up(data);
    command.stderr(fs::File::create(&said).unwrap());
    let started = NodeProcess::try_start(&mut command, data);
    let text = || fs::read_to_string(&said).unwrap();
    // A stored module is named by its digest.
    let name = file.file_name().unwrap().to_str().unwrap();
    let is_named = |text: &str| text.contains(name.trim_start_matches("sha256-"));
    let node = match started {
        Ok(node) => node,
        Err(1) if is_named(&text()) && text().contains("help: ") => return Ok(()),
        Err(code) => return Err(format!("refused with {code}: {}", text())),
    };
    let client = node.client();
    let mut counted = count(&client).await;
    if counted.is_null() && is_named(&text()) && text().contains("deploy the module again") {
        deploy(&client, "again").await;
        client.start_agent("counter").await.unwrap();
        counted = count(&client).await;
    }
    let tokens = client.tokens().await.unwrap().len();
    let code = node.terminate();
    // That there were tokens stands nowhere else; that the file was there does.
    let has_tokens =
        tokens == 2 || (name == "tokens.json" && how == Cut::Missing && is_named(&text()));
    let has_token = name != "admin-token" || how == Cut::Missing || is_named(&text());
    if counted == 4 && has_tokens && has_token && code == 0 && !text().contains("panicked") {
        return Ok(());
    }
    let text = text();
    Err(format!(
        "counted {counted}, {tokens} tokens, ended with {code}: {text}"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whichever_file_a_power_cut_spoils_a_start_loses_nothing_in_silence() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let node = NodeProcess::start_in(&data, &[]);
    prepare(&node.client()).await;
    assert_eq!(node.terminate(), 0);
    let files = Files::read(&data);
    let cases: Vec<(&PathBuf, Cut)> = files
        .0
        .keys()
        .flat_map(|path| CUTS.map(|cut| (path, cut)))
        .collect();
    assert!(cases.len() > 20, "{cases:?}");
    let left = Mutex::new(cases.into_iter().enumerate());
    let wrong = Mutex::new(Vec::new());
    let work = async || {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, (path, how))) = next else {
                return;
            };
            let data = home.path().join(number.to_string());
            files.write(&data, path, how);
            let what = format!("{} {how:?}", path.display());
            if let Err(found) = look(&data, path, how).await {
                wrong.lock().unwrap().push(format!("{what}: {found}"));
            }
            fs::remove_dir_all(&data).unwrap();
        }
    };
    tokio::join!(work(), work(), work());
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
