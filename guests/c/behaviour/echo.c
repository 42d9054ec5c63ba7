/* Answers every message with `inform` and the same content. */
#include "caxton.h"

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (cx_is_final(&message)) return 0;
    return cx_reply(&message, "inform", message.content.at ? message.content : cx_str("null")) < 0;
}
