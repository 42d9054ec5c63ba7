//! Agents: list, look, stop, start, remove.

use std::time::Duration;

use caxton_api::{
    AccessEntry, AgentDetail, AgentFault, AgentSummary, CapabilityEntry, GrantChange, GrantEntry,
    LogEntry, MailEntry, Offer, Page, Registration, StateKeyEntry, StopRequest,
};
use reqwest::Method;

use crate::{CaxtonClient, ClientError};

/// Which agents to list. Empty: all of them.
#[derive(Debug, Clone, Default)]
pub struct AgentFilter {
    /// Only names that fit this pattern.
    pub name: Option<String>,
    /// Only agents there in their life.
    pub status: Option<String>,
    /// Only agents that offer this.
    pub capability: Option<String>,
    /// Only agents of this namespace.
    pub namespace: Option<String>,
}

impl CaxtonClient {
    /// All agents that fit.
    pub async fn agents(&self, filter: &AgentFilter) -> Result<Vec<AgentSummary>, ClientError> {
        let query = [
            ("name", filter.name.as_deref()),
            ("status", filter.status.as_deref()),
            ("capability", filter.capability.as_deref()),
            ("namespace", filter.namespace.as_deref()),
        ];
        self.pages(&["agents"], &query).await
    }

    /// Everything about one agent, by id or name.
    pub async fn agent(&self, agent: &str) -> Result<AgentDetail, ClientError> {
        let url = self.api(&["agents", agent], &[]);
        self.json(self.request(Method::GET, url)).await
    }

    /// Removes an agent with its mail, timers and state.
    pub async fn remove_agent(&self, agent: &str) -> Result<(), ClientError> {
        let url = self.api(&["agents", agent], &[]);
        self.done(self.request(Method::DELETE, url)).await
    }

    /// Stops an agent; with `drain` after it has worked off its mailbox.
    pub async fn stop_agent(
        &self,
        agent: &str,
        drain: bool,
        grace: Option<Duration>,
    ) -> Result<AgentSummary, ClientError> {
        let url = self.api(&["agents", agent, "stop"], &[]);
        let grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        let request = self.post(url, &StopRequest { drain, grace_ms });
        let longest = grace.unwrap_or_default() + Duration::from_secs(90);
        self.json_within(request, longest).await
    }

    /// Starts an agent that was stopped or has failed.
    pub async fn start_agent(&self, agent: &str) -> Result<AgentSummary, ClientError> {
        let url = self.api(&["agents", agent, "start"], &[]);
        self.json(self.request(Method::POST, url)).await
    }

    /// Switches an agent back to what it was before its last update.
    pub async fn rollback_agent(&self, agent: &str) -> Result<AgentSummary, ClientError> {
        let url = self.api(&["agents", agent, "rollback"], &[]);
        self.json(self.request(Method::POST, url)).await
    }

    /// Registers what an agent offers, in place of what it registered.
    pub async fn register_agent(
        &self,
        agent: &str,
        registration: &Registration,
    ) -> Result<AgentSummary, ClientError> {
        let url = self.api(&["agents", agent, "capabilities"], &[]);
        self.json(self.post(url, registration)).await
    }

    /// Takes an agent's entry out of the directory.
    pub async fn deregister_agent(&self, agent: &str) -> Result<(), ClientError> {
        let url = self.api(&["agents", agent, "capabilities"], &[]);
        self.done(self.request(Method::DELETE, url)).await
    }

    /// What an agent is granted.
    pub async fn agent_grants(&self, agent: &str) -> Result<Vec<GrantEntry>, ClientError> {
        let url = self.api(&["agents", agent, "grants"], &[]);
        let page: Page<GrantEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Grants an agent rules and takes others back; answers all that it is granted then.
    pub async fn change_grants(
        &self,
        agent: &str,
        change: &GrantChange,
    ) -> Result<Vec<GrantEntry>, ClientError> {
        let url = self.api(&["agents", agent, "grants"], &[]);
        let page: Page<GrantEntry> = self.json(self.post(url, change)).await?;
        Ok(page.items)
    }

    /// The recorded accesses of an agent's unfinished turn.
    pub async fn agent_acts(&self, agent: &str) -> Result<Vec<AccessEntry>, ClientError> {
        let url = self.api(&["agents", agent, "acts"], &[]);
        let page: Page<AccessEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// An agent's first log lines behind the one with the id `after`, at most `limit`; `None`: its
    /// last ones.
    pub async fn agent_logs(
        &self,
        agent: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<LogEntry>, ClientError> {
        let limit = limit.to_string();
        let query = [("after", after), ("limit", Some(&*limit))];
        let url = self.api(&["agents", agent, "logs"], &query);
        let page: Page<LogEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Messages that wait for an agent.
    pub async fn agent_messages(&self, agent: &str) -> Result<Vec<MailEntry>, ClientError> {
        self.pages(&["agents", agent, "messages"], &[]).await
    }

    /// Keys an agent has stored.
    pub async fn agent_state(&self, agent: &str) -> Result<Vec<StateKeyEntry>, ClientError> {
        self.pages(&["agents", agent, "state"], &[]).await
    }

    /// A value an agent has stored.
    pub async fn agent_state_value(&self, agent: &str, key: &str) -> Result<Vec<u8>, ClientError> {
        self.bytes(self.api(&["agents", agent, "state", key], &[]))
            .await
    }

    /// An agent's last faults, newest first.
    pub async fn agent_faults(&self, agent: &str) -> Result<Vec<AgentFault>, ClientError> {
        let url = self.api(&["agents", agent, "faults"], &[]);
        let page: Page<AgentFault> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Registered capabilities.
    pub async fn capabilities(&self) -> Result<Vec<CapabilityEntry>, ClientError> {
        let url = self.api(&["capabilities"], &[]);
        let page: Page<CapabilityEntry> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }

    /// Agents that offer a capability.
    pub async fn capability(&self, name: &str) -> Result<Vec<Offer>, ClientError> {
        let url = self.api(&["capabilities", name], &[]);
        let page: Page<Offer> = self.json(self.request(Method::GET, url)).await?;
        Ok(page.items)
    }
}
