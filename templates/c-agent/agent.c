/* Greets whoever asks, and counts the greetings in state that outlives the agent. */
#include "caxton.h"

static int32_t greet(const cx_message *message) {
    cx_text name, greeted = cx_load("greeted");
    if (!cx_string(cx_get(message->content, "name"), &name)) {
        cx_failure(message, "`name` is missing");
        return 1;
    }
    int64_t count = 1;
    if (greeted.at) {
        count = 0;
        for (uint32_t i = 0; i < greeted.length; i++) count = count * 10 + (greeted.at[i] - '0');
        count++;
    }
    cx_out digits = {0}, greeting = {0}, result = {0};
    cx_put_int(&digits, count);
    cx_store("greeted", cx_done(&digits));
    cx_puts(&greeting, "Hello ");
    cx_put(&greeting, name);
    cx_puts(&result, "{\"greeting\":");
    cx_put_string(&result, cx_done(&greeting));
    cx_puts(&result, ",\"count\":");
    cx_put(&result, cx_done(&digits));
    cx_puts(&result, "}");
    return cx_inform(message, cx_done(&result)) < 0;
}

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    cx_text action;
    if (!cx_read(at, length, &message)) return 1;
    const char *wrong = message.content.at ? cx_check(message.content) : NULL;
    if (wrong) {
        cx_failure(&message, wrong);
        return 1;
    }
    if (cx_equal(message.performative, "request")
        && cx_string(cx_get(message.content, "action"), &action) && cx_equal(action, "greet"))
        return greet(&message);
    cx_not_understood(&message);
    return 1;
}
