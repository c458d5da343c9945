/* The frames of RFC 6455: what is read is the same however it is cut, and each fault has its code. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/text/hash.h"
#include "server/http/websocket.h"

enum { LIMIT = 70000, ROOM = 1 << 18 };

static char frames[ROOM];
static size_t n_frames;

static void begin(void)
{
    n_frames = 0;
}

static void add(const void *bytes, size_t n)
{
    ck_assert_uint_le(n_frames + n, sizeof frames);
    if (n) memcpy(frames + n_frames, bytes, n);
    n_frames += n;
}

/* A frame as a client sends it. first: its first byte. */
static void frame(unsigned first, const void *payload, size_t n)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t head[WEBSOCKET_HEAD_BYTES];
    size_t n_head = websocket_head(OPCODE_TEXT, n, head);
    head[0] = (uint8_t)first;
    head[1] |= 0x80;
    add(head, n_head);
    add(mask, sizeof mask);
    for (size_t i = 0; i < n; i++) {
        char c = (char)(((const char *)payload)[i] ^ (char)mask[i & 3]);
        add(&c, 1);
    }
}

/* What was heard, as one text: each event a word. */
static char heard[ROOM];
static size_t n_heard;

static void note(const struct websocket_event *event)
{
    static const char *const names[] = {[WEBSOCKET_PING] = "ping", [WEBSOCKET_PONG] = "pong",
                                        [WEBSOCKET_CLOSE] = "close", [WEBSOCKET_FAULT] = "fault"};
    if (event->kind == WEBSOCKET_PIECE) {
        if (event->n) memcpy(heard + n_heard, event->bytes, event->n);
        n_heard += event->n;
        if (event->is_last) heard[n_heard++] = event->is_text ? '|' : '#';
        heard[n_heard] = '\0';
    } else if (event->kind == WEBSOCKET_FAULT) {
        ck_assert_uint_le(strlen(event->reason), WEBSOCKET_CONTROL_BYTES - 2);
        n_heard += (size_t)sprintf(heard + n_heard, "<fault %d>", (int)event->code);
    } else {
        n_heard += (size_t)sprintf(heard + n_heard, "<%s %d %.*s>", names[event->kind], (int)event->code,
                                   (int)event->n, event->bytes);
    }
}

/* Read all frames in pieces of so many bytes. */
static const char *read_in(size_t piece)
{
    struct websocket websocket;
    char *copy = malloc(n_frames + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, frames, n_frames);
    *heard = '\0';
    n_heard = 0;
    websocket_open(&websocket, LIMIT);
    for (size_t at = 0, most; at < n_frames; at += most) {
        most = n_frames - at < piece ? n_frames - at : piece;
        for (size_t used = 0; used < most;) {
            struct websocket_event event;
            used += websocket_read(&websocket, copy + at + used, most - used, &event);
            ck_assert_uint_le(used, most);
            if (event.kind != WEBSOCKET_NOTHING) note(&event);
        }
    }
    free(copy);
    return heard;
}

static void expect(const char *expected)
{
    static const size_t pieces[] = {ROOM, 1, 2, 3, 5, 7, 11, 64, 1000};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const char *found = read_in(pieces[i]);
        ck_assert_msg(!strcmp(found, expected), "in pieces of %zu: '%.200s', expected '%.200s'", pieces[i],
                      found,
                      expected);
    }
}

START_TEST(messages_come_whole_and_in_fragments)
{
    begin();
    frame(0x81, "Hello", 5); /* RFC 6455, 5.7 */
    frame(0x01, "Hel", 3);
    frame(0x89, "ping", 4); /* between fragments */
    frame(0x00, "", 0);
    frame(0x80, "lo", 2);
    frame(0x82, "\xff\xfe", 2);
    frame(0x81, "", 0);
    frame(0x8a, "", 0);
    expect("Hello|Hel<ping 0 ping>lo|\xff\xfe#|<pong 0 >");
    ck_assert_int_eq(memcmp(frames, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11), 0);
}
END_TEST

START_TEST(each_length_has_its_form)
{
    static const size_t lengths[] = {125, 126, 127, 65535, 65536, LIMIT};
    static char payload[LIMIT], expected[LIMIT + 2];
    memset(payload, 'a', sizeof payload);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        begin();
        frame(0x81, payload, lengths[i]);
        memcpy(expected, payload, lengths[i]);
        strcpy(expected + lengths[i], "|");
        expect(expected);
    }
}
END_TEST

START_TEST(a_message_over_the_limit_is_found_in_its_head)
{
    static char payload[LIMIT + 1];
    memset(payload, 'a', sizeof payload);
    begin();
    frame(0x82, payload, sizeof payload);
    expect("<fault 1009>");
    begin();
    frame(0x02, "ab", 2);
    add("\x80\xff\0\0\0\0\0\1\x11\x70\0\0\0\0", 14); /* a fragment of LIMIT bytes */
    expect("ab<fault 1009>");
    begin();
    add("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14);
    expect("<fault 1009>");
}
END_TEST

START_TEST(what_the_rfc_forbids_is_a_fault)
{
    static const struct { const char *name; size_t n; const char *bytes, *heard; } cases[] = {
        {"no mask", 7, "\x81\x05Hello", "<fault 1002>"},
        {"the first reserved bit", 6, "\xc1\x80\0\0\0\0", "<fault 1002>"},
        {"the last reserved bit", 6, "\x91\x80\0\0\0\0", "<fault 1002>"},
        {"opcode 3", 6, "\x83\x80\0\0\0\0", "<fault 1002>"},
        {"opcode 7", 6, "\x87\x80\0\0\0\0", "<fault 1002>"},
        {"opcode 11", 6, "\x8b\x80\0\0\0\0", "<fault 1002>"},
        {"opcode 15", 6, "\x8f\x80\0\0\0\0", "<fault 1002>"},
        {"a ping in fragments", 6, "\x09\x80\0\0\0\0", "<fault 1002>"},
        {"a ping of 126 bytes", 8, "\x89\xfe\0\x7e\0\0\0\0", "<fault 1002>"},
        {"a continuation of nothing", 6, "\x80\x80\0\0\0\0", "<fault 1002>"},
        {"a message within a message", 12, "\x01\x80\0\0\0\0\x81\x80\0\0\0\0", "<fault 1002>"},
        {"125 in two bytes", 8, "\x81\xfe\0\x7d\0\0\0\0", "<fault 1002>"},
        {"65535 in eight", 14, "\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", "<fault 1002>"},
        {"a length of 64 bits", 14, "\x81\xff\x80\0\0\0\0\1\0\0\0\0\0\0", "<fault 1002>"},
        {"a close of one byte", 7, "\x88\x81\0\0\0\0\3", "<fault 1002>"},
        {"close 999", 8, "\x88\x82\0\0\0\0\x03\xe7", "<fault 1002>"},
        {"close 1004", 8, "\x88\x82\0\0\0\0\x03\xec", "<fault 1002>"},
        {"close 1005", 8, "\x88\x82\0\0\0\0\x03\xed", "<fault 1002>"},
        {"close 1006", 8, "\x88\x82\0\0\0\0\x03\xee", "<fault 1002>"},
        {"close 1015", 8, "\x88\x82\0\0\0\0\x03\xf7", "<fault 1002>"},
        {"close 2999", 8, "\x88\x82\0\0\0\0\x0b\xb7", "<fault 1002>"},
        {"close 5000", 8, "\x88\x82\0\0\0\0\x13\x88", "<fault 1002>"},
        {"a reason that is not UTF-8", 9, "\x88\x83\0\0\0\0\x03\xe8\xff", "<fault 1007>"},
        {"a close without a code", 6, "\x88\x80\0\0\0\0", "<close 1005 >"},
        {"close 1000", 8, "\x88\x82\0\0\0\0\x03\xe8", "<close 1000 >"},
        {"close 4999 and bytes behind it", 12, "\x88\x84\0\0\0\0\x13\x87ok\x81\x05", "<close 4999 ok>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        add(cases[i].bytes, cases[i].n);
        add("\x81\x80\0\0\0\0", 6); /* nothing is heard after it */
        const char *found = read_in(ROOM);
        ck_assert_msg(!strcmp(found, cases[i].heard), "%s: '%s', expected '%s'", cases[i].name, found,
                      cases[i].heard);
        expect(cases[i].heard);
    }
}
END_TEST

START_TEST(texts_are_utf_8)
{
    static const struct { const char *text; bool good; } cases[] = {
        {"\xc3\xa9", true}, {"\xe2\x82\xac", true}, {"\xf0\x9f\x98\x80", true}, {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true}, {"\xf4\x8f\xbf\xbf", true}, {"\xe0\xa0\x80", true}, {"\xf0\x90\x80\x80",
                                                                                     true},
        {"\x80", false}, {"\xc0\xaf", false}, {"\xc1\xbf", false}, {"\xc3", false}, {"\xc3" "A", false},
        {"\xe0\x9f\xbf", false}, {"\xed\xa0\x80", false}, {"\xe2\x82", false}, {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false}, {"\xf5\x80\x80\x80", false}, {"\xff", false}, {"\xf0\x9f\x98", false}};
    char expected[16];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text);
        for (size_t cut = 0; cut <= n; cut++) { /* a character may lie in two fragments */
            begin();
            frame(0x01, cases[i].text, cut);
            frame(0x80, cases[i].text + cut, n - cut);
            snprintf(expected, sizeof expected, "%s|", cases[i].text);
            const char *found = read_in(ROOM);
            if (cases[i].good) ck_assert_str_eq(found, expected);
            else ck_assert_msg(strstr(found, "<fault 1007>") && !strchr(found, '|'), "case %zu: %s", i,
                               found);
        }
    }
}
END_TEST

START_TEST(what_is_sent_has_the_shortest_head)
{
    uint8_t head[WEBSOCKET_HEAD_BYTES];
    char payload[WEBSOCKET_CONTROL_BYTES];
    ck_assert_uint_eq(websocket_head(OPCODE_TEXT, 125, head), 2);
    ck_assert_int_eq(memcmp(head, "\x81\x7d", 2), 0);
    ck_assert_uint_eq(websocket_head(OPCODE_BINARY, 126, head), 4);
    ck_assert_int_eq(memcmp(head, "\x82\x7e\0\x7e", 4), 0);
    ck_assert_uint_eq(websocket_head(OPCODE_PONG, 65535, head), 4);
    ck_assert_uint_eq(websocket_head(OPCODE_TEXT, 65536, head), 10);
    ck_assert_int_eq(memcmp(head, "\x81\x7f\0\0\0\0\0\1\0\0", 10), 0);
    ck_assert_uint_eq(websocket_close_payload(CLOSE_GOING_AWAY, "bye", payload), 5);
    ck_assert_int_eq(memcmp(payload, "\x03\xe9" "bye", 5), 0);
}
END_TEST

START_TEST(a_reason_is_cut_between_characters)
{
    char payload[WEBSOCKET_CONTROL_BYTES], reason[200] = "";
    while (strlen(reason) < 150) strcat(reason, "\xe2\x82\xac");
    size_t n = websocket_close_payload(CLOSE_NORMAL, reason, payload);
    ck_assert_uint_eq(n, 2 + 123); /* 41 characters of three bytes */
    memmove(reason + 1, reason, strlen(reason) + 1);
    *reason = 'a';
    ck_assert_uint_eq(websocket_close_payload(CLOSE_NORMAL, reason, payload), 2 + 1 + 120);
}
END_TEST

START_TEST(a_key_is_answered)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    uint8_t hash[HASH_SHA1_BYTES];
    ck_assert(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept)); /* RFC 6455, 1.3 */
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ck_assert(!websocket_accept("", accept));
    ck_assert(!websocket_accept("dGhlIHNhbXBsZSBub25jZQ", accept));
    ck_assert(!websocket_accept("dGhlIHNhbXBsZSBub25jZQ==x", accept));
    ck_assert(!websocket_accept("dGhlIHNhbXBsZSBub25jZSE!", accept));
    ck_assert(!websocket_accept("dGhlIHNhbXBsZSBub25jZTEy", accept)); /* 18 bytes */
    hash_sha1("abc", 3, hash); /* FIPS 180-4's example */
    ck_assert_int_eq(memcmp(hash,
                            "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e"
                            "\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d",
                            sizeof hash), 0);
}
END_TEST

START_TEST(lists_of_headers)
{
    ck_assert(websocket_list_has("Upgrade", "upgrade"));
    ck_assert(websocket_list_has("keep-alive, Upgrade", "upgrade"));
    ck_assert(websocket_list_has("a,\tcarousel.v1 ,b", "carousel.v1"));
    ck_assert(!websocket_list_has("upgrades", "upgrade"));
    ck_assert(!websocket_list_has("upgrad", "upgrade"));
    ck_assert(!websocket_list_has("", "upgrade"));
    ck_assert(!websocket_list_has(NULL, "upgrade"));
}
END_TEST

Suite *websocket_suite(void);

Suite *websocket_suite(void)
{
    Suite *suite = suite_create("websocket");
    TCase *tcase = tcase_create("frames");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, messages_come_whole_and_in_fragments);
    tcase_add_test(tcase, each_length_has_its_form);
    tcase_add_test(tcase, a_message_over_the_limit_is_found_in_its_head);
    tcase_add_test(tcase, what_the_rfc_forbids_is_a_fault);
    tcase_add_test(tcase, texts_are_utf_8);
    tcase_add_test(tcase, what_is_sent_has_the_shortest_head);
    tcase_add_test(tcase, a_reason_is_cut_between_characters);
    tcase_add_test(tcase, a_key_is_answered);
    tcase_add_test(tcase, lists_of_headers);
    suite_add_tcase(suite, tcase);
    return suite;
}
