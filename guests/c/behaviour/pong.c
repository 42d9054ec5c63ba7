/* Gives the ball back: `{"ball": N}` is informed as it came. */
#include "caxton.h"

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (!cx_equal(message.performative, "request")) return 0;
    if (!cx_get(message.content, "ball").at) return cx_not_understood(&message) < 0;
    return cx_reply(&message, "inform", message.content) < 0;
}
