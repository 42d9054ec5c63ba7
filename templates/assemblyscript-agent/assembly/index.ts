// Greets whoever asks, and counts the greetings in state that outlives the agent.
import { Message, get, loadText, quote, storeText, unquote } from "./caxton";

export function handle_message(at: usize, length: i32): i32 {
  const message = Message.read(at, length);
  if (message == null) return 1;
  const wrong = message.wrong();
  if (wrong.length > 0) {
    message.failure(wrong);
    return 1;
  }
  const action = unquote(get(message.content, "action"));
  if (message.performative == "request" && action == "greet") return greet(message);
  message.notUnderstood();
  return 1;
}

function greet(message: Message): i32 {
  const name = unquote(get(message.content, "name"));
  if (name == null) {
    message.failure("`name` is missing");
    return 1;
  }
  const greeted = loadText("greeted");
  const count = (greeted == null ? 0 : I64.parseInt(greeted)) + 1;
  storeText("greeted", count.toString());
  return message.inform('{"greeting":' + quote("Hello " + name) + ',"count":' + count.toString() + "}");
}
