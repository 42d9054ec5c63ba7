/* Subscribes in `agent_init` to broadcast informs, keeps the last, and informs it when asked. */
#include "caxton.h"

static const char FILTER[] = "{\"performative\":\"inform\"}";

CX_EXPORT("agent_init") int32_t agent_init(void) {
    return cx_import_subscribe(FILTER, sizeof FILTER - 1) < 0;
}

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (cx_equal(message.performative, "inform")) return cx_store("last", message.content) < 0;
    if (!cx_equal(message.performative, "request")) return 0;
    cx_text last = cx_load("last");
    return cx_inform(&message, last.at ? last : cx_str("null")) < 0;
}
