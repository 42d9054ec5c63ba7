// Types that openapi-typescript generates must fit what the API takes and gives.
import type { components, operations } from "./api";

type Schemas = components["schemas"];
type Json<Id extends keyof operations, Status extends number> = operations[Id] extends {
  responses: Record<Status, { content: { "application/json": infer Body } }>;
}
  ? Body
  : never;

export const flat: Schemas["DeployRequest"] = { wasm_module: "", name: "a", limits: { cpu: "1s" } };
export const nested: Schemas["DeployRequest"] = { wasm_module: "", config: { name: "a" } };
export const update: Schemas["UpdateRequest"] = { wasm_module: "" };
export const send: Schemas["SendRequest"] = {
  performative: "request",
  receiver: ["a", "b"],
  content: { n: 1 },
  message_id: "one",
  wait_ms: 1000,
};
export const deployed = (answer: Json<"deployAgent", 201>): string => answer.id;
export const updated = (answer: Json<"updateAgent", 200>): string => answer.id;
export const sent = (answer: Json<"sendMessage", 202>): boolean => answer.duplicate;
export const names = (page: Json<"listAgents", 200>): string[] =>
  page.items.map((agent: Schemas["AgentSummary"]) => agent.name);
export const kind = (event: Schemas["EventBody"]): Schemas["EventKind"] => event.kind;

// @ts-expect-error: a deployment has a module
export const nothing: Schemas["DeployRequest"] = { name: "a" };
// @ts-expect-error: there is no such performative
export const shout: Schemas["SendRequest"] = { performative: "shout", receiver: "a" };
