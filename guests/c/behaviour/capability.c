/* Registers the capability `translate` at run time, when asked `{"register": true}`; informs who
 * does the work. */
#include "caxton.h"

static const char DESCRIPTOR[] =
    "{\"version\":\"1.0.0\",\"services\":[{\"name\":\"translate\",\"description\":\"Says it did\"}]}";

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (!cx_equal(message.performative, "request")) return 0;
    if (cx_get(message.content, "register").at
        && cx_import_register(DESCRIPTOR, sizeof DESCRIPTOR - 1) < 0)
        return 1;
    cx_text me = cx_get(message.json, "receiver");
    return cx_inform(&message, me.at ? me : cx_str("null")) < 0;
}
