//! What each route does, once a request has passed the edge.

mod agent_inspect;
mod agents;
mod audit;
mod dead_letters;
mod directory;
mod events;
mod grants;
mod logs;
mod messages;
mod node;
mod processors;
mod tokens;
mod top;
mod vault;

use caxton_api::RouteId;

pub(crate) use agents::GRACE_MAX;
pub use audit::audit_check;
pub(crate) use grants::read_rule;
pub(crate) use processors::meant as processor_meant;

use crate::{call::Call, refuse::Answered};

/// Runs a request's route. A route of the table that is missing here does not compile.
pub(crate) async fn dispatch(call: Call) -> Answered {
    match call.route.id {
        RouteId::DeployAgent => agents::deploy(call).await,
        RouteId::ListAgents => agents::list(&call),
        RouteId::GetAgent => agent_inspect::get(call).await,
        RouteId::RemoveAgent => agents::remove(call).await,
        RouteId::StopAgent => agents::stop(call).await,
        RouteId::StartAgent => agents::start(call).await,
        RouteId::UpdateAgent => agents::update(call).await,
        RouteId::RollbackAgent => agents::rollback(call).await,
        RouteId::RegisterAgent => directory::register(call).await,
        RouteId::DeregisterAgent => directory::deregister(call).await,
        RouteId::AgentLogs => logs::read(&call),
        RouteId::AgentMessages => agent_inspect::messages(call).await,
        RouteId::AgentState => agent_inspect::state(call).await,
        RouteId::AgentStateValue => agent_inspect::state_value(call).await,
        RouteId::AgentFaults => agent_inspect::faults(call).await,
        RouteId::AgentGrants => grants::list(call).await,
        RouteId::ChangeGrants => grants::change(call).await,
        RouteId::AgentActs => grants::acts(call).await,
        RouteId::DeployProcessor => processors::deploy(call).await,
        RouteId::ListProcessors => processors::list(&call),
        RouteId::GetProcessor => processors::get(&call),
        RouteId::RemoveProcessor => processors::remove(call).await,
        RouteId::ProcessorGrants => grants::list_of_processor(call).await,
        RouteId::ChangeProcessorGrants => grants::change_of_processor(call).await,
        RouteId::CallProcessor => processors::call(call).await,
        RouteId::ProcessorLogs => processors::logs(&call),
        RouteId::SendMessage => messages::send(call).await,
        RouteId::ListMessages => messages::list(call).await,
        RouteId::DropMessages => messages::drop_read(&call),
        RouteId::GetConversation => messages::conversation(call).await,
        RouteId::ListDeadLetters => dead_letters::list(call).await,
        RouteId::ResendDeadLetter => dead_letters::resend(call).await,
        RouteId::DeleteDeadLetter => dead_letters::delete(call).await,
        RouteId::ListCapabilities => directory::capabilities(&call),
        RouteId::GetCapability => directory::capability(&call),
        RouteId::GetJournal => node::journal(&call),
        RouteId::GetTop => top::read(&call).await,
        RouteId::SearchAudit => audit::search(call).await,
        RouteId::GetAuditHead => audit::head(call).await,
        RouteId::VerifyAudit => audit::verify(call).await,
        RouteId::CreateToken => tokens::create(call).await,
        RouteId::ListTokens => tokens::list(&call),
        RouteId::DeleteToken => tokens::delete(call).await,
        RouteId::SetSecret => vault::set(call).await,
        RouteId::ListSecrets => vault::list(call).await,
        RouteId::RemoveSecret => vault::remove(call).await,
        RouteId::RotateVaultKey => vault::rotate_key(call).await,
        RouteId::StreamEvents => events::stream(&call),
        RouteId::GetOpenApi => Ok(node::document()),
        RouteId::GetErrorPage => node::error_page(&call),
        RouteId::GetVersion => node::version(&call),
        RouteId::GetMetrics => node::metrics(&call).await,
        RouteId::GetLive => node::live(),
        RouteId::GetReady => node::ready(&call),
    }
}
