/* caxton_test.h - a host in memory, to run a guest's code in an ordinary native test.
 *
 *     cc -o test test.c && ./test        with #include "caxton_test.h" and then the guest's source
 *
 * One host a program; time stands still until `cxt_now` is changed.
 */
#ifndef CAXTON_TEST_H
#define CAXTON_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caxton.h"

enum { CXT_MAX = 64, CXT_BYTES = 1 << 16 };

static char cxt_sent[CXT_MAX][CXT_BYTES]; /* what was sent, terminated */
static int cxt_sent_count;
static char cxt_keys[CXT_MAX][256], cxt_values[CXT_MAX][CXT_BYTES];
static uint32_t cxt_lengths[CXT_MAX];
static int cxt_key_count;
static char cxt_response[CXT_BYTES];
static int64_t cxt_now = 1700000000000000;
static int32_t cxt_timers;

#define CXT_CHECK(condition)                                                          \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

/* Begins anew: no state, nothing sent. */
static CX_UNUSED void cxt_reset(void) { cxt_sent_count = cxt_key_count = cxt_timers = 0; }

/* Gives a message to an export such as `handle_message`, as the host does. */
static CX_UNUSED int32_t cxt_deliver(int32_t (*handle)(const char *, uint32_t), const char *json) {
    uint32_t length = (uint32_t)strlen(json);
    char *at = (char *)caxton_alloc(length);
    memcpy(at, json, length);
    int32_t code = handle(at, length);
    caxton_free(at, length);
    return code;
}

static void cxt_copy(char *into, const char *at, uint32_t length) {
    CXT_CHECK(length < CXT_BYTES);
    memcpy(into, at, length);
    into[length] = 0;
}

int32_t cx_import_send(const char *at, uint32_t length) {
    CXT_CHECK(cxt_sent_count < CXT_MAX);
    cxt_copy(cxt_sent[cxt_sent_count++], at, length);
    return 0;
}
int32_t cx_import_send_local(const char *id, uint32_t id_length, const char *at, uint32_t length) {
    (void)id;
    (void)id_length;
    return cx_import_send(at, length);
}
int32_t cx_import_broadcast(const char *filter, uint32_t filter_length, const char *at, uint32_t length) {
    (void)filter;
    (void)filter_length;
    return cx_import_send(at, length) < 0 ? CX_QUOTA : 1;
}
int32_t cx_import_subscribe(const char *filter, uint32_t length) { return filter && length ? 1 : CX_MALFORMED; }
int32_t cx_unsubscribe(int32_t id) { return id == 1 ? 0 : CX_NOT_FOUND; }

static int cxt_find(const char *key, uint32_t length) {
    for (int i = 0; i < cxt_key_count; i++)
        if (strlen(cxt_keys[i]) == length && !memcmp(cxt_keys[i], key, length)) return i;
    return -1;
}
int32_t cx_import_store(const char *key, uint32_t key_length, const char *at, uint32_t length) {
    int i = cxt_find(key, key_length);
    if (i < 0) {
        CXT_CHECK(cxt_key_count < CXT_MAX && key_length < sizeof cxt_keys[0]);
        i = cxt_key_count++;
        cxt_copy(cxt_keys[i], key, key_length);
    }
    cxt_copy(cxt_values[i], at, length);
    cxt_lengths[i] = length;
    return 0;
}
int32_t cx_import_load(const char *key, uint32_t key_length, char *into, uint32_t length) {
    int i = cxt_find(key, key_length);
    if (i < 0) return CX_NOT_FOUND;
    memcpy(into, cxt_values[i], cxt_lengths[i] < length ? cxt_lengths[i] : length);
    return (int32_t)cxt_lengths[i];
}
/* Nothing is granted here. */
int32_t cx_import_emit(const char *topic, uint32_t topic_length, const char *at, uint32_t length) {
    (void)topic, (void)topic_length, (void)at, (void)length;
    return CX_DENIED;
}
int32_t cx_import_vault_get(const char *name, uint32_t name_length, char *into, uint32_t length) {
    (void)name, (void)name_length, (void)into, (void)length;
    return CX_DENIED;
}
int32_t cx_import_vault_put(const char *name, uint32_t name_length, const char *at, uint32_t length) {
    (void)name, (void)name_length, (void)at, (void)length;
    return CX_DENIED;
}
int32_t cx_import_delete(const char *key, uint32_t key_length) {
    int i = cxt_find(key, key_length);
    if (i < 0) return CX_NOT_FOUND;
    cxt_keys[i][0] = 0;
    return 0;
}
int32_t cx_set_timer(int64_t delay_micros) { return delay_micros < 0 ? CX_MALFORMED : ++cxt_timers; }
int32_t cx_cancel_timer(int32_t id) { return id <= cxt_timers ? 0 : CX_NOT_FOUND; }
int64_t cx_now(void) { return cxt_now; }
uint32_t cx_random(void) { return 4; }
void cx_sleep(int64_t micros) { cxt_now += micros; }
void cx_import_log(const char *at, uint32_t length) { printf("log: %.*s\n", (int)length, at); }
void cx_import_error(const char *at, uint32_t length) { printf("error: %.*s\n", (int)length, at); }
int32_t cx_import_register(const char *json, uint32_t length) { return json && length ? 0 : CX_MALFORMED; }
void cx_import_respond(const char *at, uint32_t length) { cxt_copy(cxt_response, at, length); }

#endif
