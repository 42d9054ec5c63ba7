import assert from "node:assert/strict";
import { load } from "./host.mjs";

const agent = load("build/{{name}}.wasm");
const ask = (content) => {
  const code = agent.deliver({ performative: "request", sender: "you", reply_with: "1", content });
  return [code, agent.takeSent()[0]];
};

let [code, reply] = ask({ action: "greet", name: "Ada" });
assert.equal(code, 0);
assert.equal(reply.in_reply_to, "1");
assert.deepEqual(reply.content.result, { greeting: "Hello Ada", count: 1 });
assert.equal(ask({ action: "greet", name: "Bob" })[1].content.result.count, 2);
[code, reply] = ask({ action: "greet" });
assert.deepEqual([code, reply.performative], [1, "failure"]);
[code, reply] = ask({ action: "dance" });
assert.deepEqual([code, reply.performative], [1, "not-understood"]);
console.log("ok");
