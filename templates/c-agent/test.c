/* The agent's code against a host in memory. */
#include "caxton_test.h"

#include "agent.c"

static int32_t ask(const char *content) {
    static char json[1024];
    cxt_sent_count = 0;
    snprintf(json, sizeof json,
             "{\"performative\":\"request\",\"sender\":\"you\",\"reply_with\":\"1\",\"content\":%s}", content);
    return cxt_deliver(handle_message, json);
}

int main(void) {
    CXT_CHECK(ask("{\"action\":\"greet\",\"name\":\"Ada\"}") == 0);
    CXT_CHECK(!strcmp(cxt_sent[0], "{\"performative\":\"inform\",\"receiver\":\"you\",\"content\":"
                                   "{\"result\":{\"greeting\":\"Hello Ada\",\"count\":1}},\"in_reply_to\":\"1\"}"));
    CXT_CHECK(ask("{\"action\":\"greet\",\"name\":\"Bob\"}") == 0);
    CXT_CHECK(strstr(cxt_sent[0], "\"count\":2"));
    CXT_CHECK(ask("{\"action\":\"greet\"}") == 1 && strstr(cxt_sent[0], "failure"));
    CXT_CHECK(ask("{\"action\":\"dance\"}") == 1 && strstr(cxt_sent[0], "not-understood"));
    puts("ok");
    return 0;
}
