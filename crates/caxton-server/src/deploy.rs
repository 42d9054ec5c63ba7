//! A module with its settings, from multipart or from JSON.

use axum::{
    body::Body,
    extract::{FromRequest as _, Multipart, Request},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use caxton_api::{AgentConfig, Problem, ProcessorConfig};
use caxton_kernel::Refusal;
use caxton_model::{AgentName, AgentSpec, AskedLimits, Digest, ErrorCode, Kind};
use caxton_node::{Deploy, DeployProcessor};
use caxton_package::Manifest;
use http::{HeaderMap, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    body::{explain, media_type, must_be_plain, read_json},
    call::Call,
    manifest, names,
    query::unknown,
    refuse::Failure,
};

/// Bytes of a manifest or of the settings within a form.
const PART_BYTES_MAX: usize = 1 << 20;
/// Bytes of a version.
const VERSION_BYTES_MAX: usize = 128;
/// Capabilities one deployment may declare.
const DECLARED_MAX: usize = 1_000;

/// A deployment as it was asked for, in either form.
pub(crate) struct Given<C = AgentConfig> {
    module: Bytes,
    config: C,
    /// The text of `caxton.toml`.
    manifest: Option<Bytes>,
}

impl<C: Serialize + DeserializeOwned + Default> Given<C> {
    /// Reads it.
    pub(crate) async fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self, Failure> {
        match media_type(headers).eq_ignore_ascii_case("multipart/form-data") {
            true => read_form(headers, body.clone()).await,
            false => read_body(body),
        }
    }
    /// The same for every request that asks for the same, however it is written.
    pub(crate) fn fingerprint(&self) -> Digest {
        let settings = serde_json::to_vec(&self.config).unwrap_or_default();
        let parts = [
            Digest::of(&self.module),
            Digest::of(&settings),
            Digest::of(self.manifest.as_deref().unwrap_or_default()),
        ];
        Digest::of(&parts.map(|part| *part.as_bytes()).concat())
    }
    fn manifest(&self, kinds: &[Kind]) -> Result<Option<Manifest>, Failure> {
        let Some(bytes) = &self.manifest else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Refusal::new(ErrorCode::InvalidManifest, "the manifest is not UTF-8"))?;
        manifest::read(text, kinds).map(Some)
    }
}

/// Reads what is to be deployed. `updates`: the agent it takes the place of; `None`: a new one.
///
/// The second part is what the operator should know.
pub(crate) async fn read(
    call: &Call,
    updates: Option<&AgentSpec>,
) -> Result<(Deploy, Vec<String>), Failure> {
    let given = Given::<AgentConfig>::read(&call.headers, &call.body).await?;
    let manifest = given.manifest(&[Kind::Agent])?;
    let Given { module, config, .. } = given;
    let name = match updates {
        Some(spec) => spec.name.clone(),
        None => new_name(call, &config.name, manifest.as_ref())?,
    };
    check_sizes(config.version.as_deref(), &config.capabilities)?;
    let asked = config.asked_limits().map_err(|error| {
        Failure::from(Problem::new(error.code(), error.to_string()).with_nearest(error.nearest()))
    })?;
    let grants = manifest::grants(&call.caller, name.namespace(), &config, manifest.as_ref())?;
    let granted = manifest::granted(&call.caller, config.asked_rules())?;
    let requested = match &manifest {
        Some(manifest) => Some(manifest::requested(manifest)?),
        // An update without a manifest is bounded by what the version before asked for.
        None => updates.and_then(|spec| spec.requested.clone()),
    };
    let mut limits = manifest
        .as_ref()
        .map(|m| m.limits.clone())
        .unwrap_or_default();
    limits.extend(asked.0);
    let notes = manifest.as_ref().map(Manifest::notes).unwrap_or_default();
    let agent = manifest.as_ref().map(|manifest| &manifest.agent);
    let deploy = Deploy {
        name,
        module: module.into(),
        version: config
            .version
            .or_else(|| manifest.as_ref().map(|manifest| manifest.version.clone()))
            .unwrap_or_else(|| "0.0.0".to_owned()),
        limits: AskedLimits(limits),
        durability: config
            .durability
            .or(updates.map(|spec| spec.durability))
            .or(agent.map(|agent| agent.durability))
            .unwrap_or_default(),
        supervision: config
            .supervision
            .or_else(|| agent.map(|agent| agent.supervision.clone()))
            .unwrap_or_default(),
        grants,
        granted: granted.into(),
        requested,
        declared: config.capabilities,
        config: config.config.into_iter().collect(),
        profile: match agent {
            Some(agent) if config.profile == Default::default() => agent.profile,
            _ => config.profile,
        },
        passivate_after: config
            .passivate_after
            .or_else(|| agent.and_then(|a| a.passivate_after)),
    };
    Ok((deploy, notes))
}

/// Reads a processor that is to be deployed. The second part is what the operator should know.
pub(crate) async fn read_processor(call: &Call) -> Result<(DeployProcessor, Vec<String>), Failure> {
    let given = Given::<ProcessorConfig>::read(&call.headers, &call.body).await?;
    let manifest = given.manifest(&[Kind::Processor, Kind::Extension])?;
    let Given { module, config, .. } = given;
    let name = new_name(call, &config.name, manifest.as_ref())?;
    check_sizes(config.version.as_deref(), &[])?;
    let asked = config.asked_limits().map_err(|error| {
        Failure::from(Problem::new(error.code(), error.to_string()).with_nearest(error.nearest()))
    })?;
    let rules = config
        .asked_rules()
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
    let granted = manifest::granted(&call.caller, rules)?;
    let mut notes = Vec::new();
    let (mut limits, mut version) = (Default::default(), None);
    let requested = manifest.as_ref().map(manifest::requested).transpose()?;
    if let Some(manifest) = manifest {
        notes = manifest.notes();
        (limits, version) = (manifest.limits, Some(manifest.version));
    }
    limits.extend(asked.0);
    let deploy = DeployProcessor {
        name,
        module: module.into(),
        version: config
            .version
            .or(version)
            .unwrap_or_else(|| "0.0.0".to_owned()),
        limits: AskedLimits(limits),
        config: config.config.into_iter().collect(),
        granted,
        requested,
        profile: config.profile,
    };
    Ok((deploy, notes))
}

fn check_sizes(version: Option<&str>, capabilities: &[String]) -> Result<(), Failure> {
    if version.is_some_and(|v| v.len() > VERSION_BYTES_MAX) {
        return Err(Failure::malformed(format!(
            "`version` has at most {VERSION_BYTES_MAX} bytes"
        )));
    }
    if capabilities.len() > DECLARED_MAX {
        return Err(Failure::malformed(format!(
            "`capabilities` has at most {DECLARED_MAX} entries"
        )));
    }
    Ok(())
}

fn new_name(call: &Call, name: &str, manifest: Option<&Manifest>) -> Result<AgentName, Failure> {
    let text = match (name, manifest) {
        ("", Some(manifest)) => manifest.name.as_str(),
        ("", None) => return Err(Failure::malformed("a deployment needs a `name`")),
        (name, _) => name,
    };
    names::new_agent(&call.caller, text)
}

/// The JSON form: settings beside `wasm_module`, or as a whole under `config`.
fn read_body<C: DeserializeOwned>(body: &[u8]) -> Result<Given<C>, Failure> {
    let mut fields: Map<String, Value> = read_json(body)?;
    let module = match fields.remove("wasm_module") {
        Some(Value::String(text)) => text,
        Some(_) => {
            return Err(Failure::malformed(
                "`wasm_module` is the module's bytes as a text in base64",
            ));
        }
        None => {
            return Err(Failure::malformed(
                "a deployment needs `wasm_module`, the module's bytes in base64",
            ));
        }
    };
    let module = STANDARD
        .decode(module.as_bytes())
        .map_err(|error| Failure::malformed(format!("`wasm_module` is not base64: {error}")))?;
    let nested = !fields.contains_key("name")
        && fields
            .get("config")
            .and_then(Value::as_object)
            .is_some_and(|c| c.contains_key("name"));
    let settings = if nested {
        let settings = fields.remove("config").unwrap_or_default();
        if let Some(other) = fields.keys().next() {
            return Err(unknown(
                other,
                ["wasm_module", "config"].into_iter(),
                "field beside `config`",
            ));
        }
        settings
    } else {
        Value::Object(fields)
    };
    let config = serde_json::from_value(settings).map_err(|error| explain(&error))?;
    Ok(Given {
        module: module.into(),
        config,
        manifest: None,
    })
}

/// The form: parts `module`, `config` (JSON) and `manifest` (TOML).
async fn read_form<C: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Given<C>, Failure> {
    const PARTS: [&str; 3] = ["module", "config", "manifest"];
    let wrong = |error: axum::extract::multipart::MultipartError| {
        Failure::malformed(format!("the form: {}", error.body_text()))
    };
    let mut request = Request::new(Body::from(body));
    if let Some(media_type) = headers.get(header::CONTENT_TYPE) {
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type.clone());
    }
    // The body was bounded when it was read.
    axum::extract::DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| Failure::malformed(format!("the form: {}", rejection.body_text())))?;
    let (mut module, mut config, mut text) = (None, None, None);
    while let Some(part) = form.next_field().await.map_err(wrong)? {
        let name = part.name().unwrap_or_default().to_owned();
        let slot = match name.as_str() {
            "module" => &mut module,
            "config" => &mut config,
            "manifest" => &mut text,
            other => return Err(unknown(other, PARTS.into_iter(), "part of the form")),
        };
        must_be_plain(part.headers())?;
        let bytes = part.bytes().await.map_err(wrong)?;
        if name != "module" && bytes.len() > PART_BYTES_MAX {
            let detail = format!("part `{name}` has at most {PART_BYTES_MAX} bytes");
            return Err(Failure::new(ErrorCode::PayloadTooLarge, detail));
        }
        if slot.replace(bytes).is_some() {
            return Err(Failure::malformed(format!(
                "the form contains the part `{name}` twice"
            )));
        }
    }
    let module = module.ok_or_else(|| Failure::malformed("the form needs the part `module`"))?;
    let config = match config {
        Some(bytes) => read_json(&bytes)?,
        None => C::default(),
    };
    Ok(Given {
        module,
        config,
        manifest: text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(json: &str) -> Result<Given, Failure> {
        read_body(json.as_bytes())
    }

    #[test]
    fn both_json_forms_are_read() {
        let flat = given(r#"{"wasm_module":"AGFzbQ==","name":"a","config":{"k":"v"}}"#).unwrap();
        assert_eq!(
            (&flat.module[..], flat.config.name.as_str()),
            (&b"\0asm"[..], "a")
        );
        assert_eq!(flat.config.config["k"], "v");
        let nested = given(
            r#"{"wasm_module":"AGFzbQ==","config":{"name":"a","resources":{"max_memory_bytes":1048576},"capabilities":["x"]}}"#,
        )
        .unwrap();
        assert_eq!(nested.config.capabilities, ["x"]);
        assert!(nested.config.asked_limits().is_ok());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, code, part) in [
            ("{}", "malformed-request", "wasm_module"),
            (r#"{"wasm_module":1}"#, "malformed-request", "base64"),
            (r#"{"wasm_module":"§"}"#, "malformed-request", "base64"),
            (r#"{"wasm_module":"","nam":"a"}"#, "unknown-field", "`name`"),
            (
                r#"{"wasm_module":"","config":{"name":"a"},"limits":{}}"#,
                "unknown-field",
                "limits",
            ),
            (
                r#"{"wasm_module":"","name":"a","durability":"forever"}"#,
                "malformed-request",
                "forever",
            ),
            (
                r#"{"wasm_module":"","name":"a","config":{"k":1}}"#,
                "malformed-request",
                "string",
            ),
        ] {
            let failure = given(json).map(|_| ()).unwrap_err();
            assert_eq!(failure.problem.code, code, "{json}");
            assert!(
                failure.problem.detail.contains(part),
                "{json}: {}",
                failure.problem.detail
            );
        }
    }
}
