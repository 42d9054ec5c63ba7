//! Processors: deploy, list, call, remove.

use caxton_api::{
    CallMeasures, DeployedProcessor, GrantChange, GrantEntry, LogEntry, Page, ProcessorConfig,
    ProcessorDetail, ProcessorSummary,
};
use reqwest::{Method, header, multipart};

use crate::{CaxtonClient, ClientError};

/// One call of a processor.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The action of an extension; `None`: its description. A processor has one function alone.
    pub function: Option<String>,
    /// The bytes that go in; of an extension, JSON.
    pub input: Vec<u8>,
    /// What they are, where the processor names what it takes.
    pub content_type: Option<String>,
}

/// What came out of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutput {
    /// The bytes that came out.
    pub output: Vec<u8>,
    /// What the call used.
    pub measures: CallMeasures,
}

impl CaxtonClient {
    /// Deploys a processor or an extension, in place of the one of its name. It can be called when this
    /// returns.
    ///
    /// Errors: [`ClientError::Refused`], for example with `invalid-module`.
    pub async fn deploy_processor(
        &self,
        module: Vec<u8>,
        config: &ProcessorConfig,
        manifest: Option<String>,
    ) -> Result<DeployedProcessor, ClientError> {
        let url = self.api(&["processors"], &[]);
        let config = serde_json::to_string(config).map_err(|error| ClientError::Unreadable {
            url: url.to_string(),
            reason: error.to_string(),
        })?;
        let module = multipart::Part::bytes(module).file_name("module.wasm");
        let mut form = multipart::Form::new()
            .text("config", config)
            .part("module", module);
        if let Some(manifest) = manifest {
            form = form.text("manifest", manifest);
        }
        self.json(self.request(Method::POST, url).multipart(form))
            .await
    }

    /// All processors whose names fit the pattern, of a namespace or of all.
    pub async fn processors(
        &self,
        name: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Vec<ProcessorSummary>, ClientError> {
        let query = [("name", name), ("namespace", namespace)];
        self.pages(&["processors"], &query).await
    }

    /// Everything about one processor.
    pub async fn processor(&self, name: &str) -> Result<ProcessorDetail, ClientError> {
        let url = self.api(&["processors", name], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// What a processor is granted.
    pub async fn processor_grants(&self, name: &str) -> Result<Vec<GrantEntry>, ClientError> {
        let url = self.api(&["processors", name, "grants"], &[]);
        let page: Page<GrantEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Grants a processor rules and takes others back; answers all that it is granted then.
    pub async fn change_processor_grants(
        &self,
        name: &str,
        change: &GrantChange,
    ) -> Result<Vec<GrantEntry>, ClientError> {
        let url = self.api(&["processors", name, "grants"], &[]);
        let page: Page<GrantEntry> = self.json(self.post(url, change)).await?;
        Ok(page.items)
    }

    /// Removes a processor.
    pub async fn remove_processor(&self, name: &str) -> Result<(), ClientError> {
        let url = self.api(&["processors", name], &[]);
        self.done(self.request(Method::DELETE, url)).await
    }

    /// A processor's last log lines, at most `limit`.
    pub async fn processor_logs(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<LogEntry>, ClientError> {
        let limit = limit.to_string();
        let url = self.api(&["processors", name, "logs"], &[("limit", Some(&*limit))]);
        let page: Page<LogEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Calls a processor. Waits as long as the node lets the call run; dropped, it ends the call.
    ///
    /// Errors: [`ClientError::Refused`], with the code of the fault if the guest failed.
    pub async fn call(&self, name: &str, call: Call) -> Result<CallOutput, ClientError> {
        let query = [("function", call.function.as_deref())];
        let url = self.api(&["processors", name, "call"], &query);
        let mut request = self.request(Method::POST, url).body(call.input);
        if let Some(content_type) = call.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let answer = self.send(request, None).await?;
        let number = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            value.parse().ok()
        };
        let measures = CallMeasures::read(number);
        let url = answer.url().to_string();
        let output = answer.bytes().await;
        let output = output.map_err(|source| ClientError::Unreachable {
            url,
            source: source.without_url(),
        })?;
        let output = output.to_vec();
        Ok(CallOutput { output, measures })
    }
}
