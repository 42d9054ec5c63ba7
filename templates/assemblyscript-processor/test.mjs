import assert from "node:assert/strict";
import { load } from "./host.mjs";

const processor = load("build/{{name}}.wasm");
assert.equal(processor.process("one two  three\n"), "3");
assert.equal(processor.process(""), "0");
console.log("ok");
