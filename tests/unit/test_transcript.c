/* stop and transcript: stop strings across every cut into tokens, code points put together from bytes,
 * and what a reader may see at each moment. */
#include "models/generation/transcript.h"

#include <check.h>
#include <string.h>

#include "models/jobs/random.h"
#include "models/text/utf8.h"
#include "tests/support/jobs.h"

/* ---- helpers ---- */

/* One set of stop strings at a time. */
static struct stops *make_stops(const char *const *texts, size_t n)
{
    static struct stops stops;
    static _Alignas(64) char block[4096];
    size_t bytes[GENERATION_MAX_STOPS] = {0};
    struct arena arena = {.base = block};
    for (size_t i = 0; i < n; i++) bytes[i] = strlen(texts[i]);
    memset(&stops, 0, sizeof stops);
    stops_lay_out(&stops, bytes, n, &arena);
    ck_assert_uint_le(arena.used, sizeof block);
    stops_prepare(&stops, texts);
    return &stops;
}

static char text[4096], piece[64];
static int32_t tokens[1024];
static size_t offsets[1024];

static struct transcript make_transcript(void)
{
    struct transcript t = {.text = text, .text_capacity = sizeof text, .tokens = tokens,
                           .offsets = offsets, .token_capacity = 1024};
    memset(text, '~', sizeof text);
    transcript_init(&t);
    return t;
}

static size_t visible(struct transcript *t)
{
    return atomic_load(&t->visible_text);
}

/* ---- stop strings ---- */

/* The slow way: after each byte, does the text end with one of them? */
static size_t ends_with(const char *written, size_t n, const char *const *texts, size_t n_texts)
{
    size_t longest = 0;
    for (size_t i = 0; i < n_texts; i++) {
        size_t bytes = strlen(texts[i]);
        if (bytes <= n && memcmp(written + n - bytes, texts[i], bytes) == 0 && bytes > longest)
            longest = bytes;
    }
    return longest;
}

/* The longest end of the text that begins a stop string without being all of it. */
static size_t held(const char *written, size_t n, const char *const *texts, size_t n_texts)
{
    for (size_t length = n; length > 0; length--)
        for (size_t i = 0; i < n_texts; i++)
            if (length < strlen(texts[i]) && memcmp(written + n - length, texts[i], length) == 0)
                return length;
    return 0;
}

START_TEST(stops_match_as_a_slow_search_does)
{
    static const char *const sets[][4] = {
        {"aab", "abab", "b", NULL}, {"aaaa", "aabaa", NULL}, {"abcab", "cabc", "bca", NULL},
        {"a", NULL},                {"abacabad", NULL},
    };
    const char *const *texts = sets[_i % 5];
    size_t n_texts = 0;
    while (n_texts < 4 && texts[n_texts]) n_texts++;
    struct stops *stops = make_stops(texts, n_texts);
    struct random random;
    random_init(&random, 9, (uint64_t)_i);
    for (int repeat = 0; repeat < 300; repeat++) {
        struct stop_match match = {0};
        char written[40];
        for (size_t n = 0; n < sizeof written;) {
            written[n++] = (char)('a' + random_bits(&random) % 4);
            size_t found = stop_match_feed(&match, stops, written[n - 1]);
            ck_assert_uint_eq(found, ends_with(written, n, texts, n_texts));
            ck_assert_uint_eq(stop_match_held(&match, stops), held(written, n, texts, n_texts));
        }
    }
}
END_TEST

/* "hello world, the end" cut into words of every length; the stop string ends the text wherever
 * the tokens end. */
START_TEST(a_stop_string_may_lie_across_tokens)
{
    static const char said[] = "hello world, the end";
    for (size_t step = 1; step <= sizeof said; step++) {
        char pieces[32][32];
        const char *vocabulary[33] = {0};
        size_t n = 0;
        for (size_t at = 0; at < sizeof said - 1; at += step, n++) {
            size_t left = sizeof said - 1 - at;
            memset(pieces[n], 0, sizeof pieces[n]);
            memcpy(pieces[n], said + at, left < step ? left : step);
        }
        /* characters do not care how long their entries are, once they are ids */
        for (size_t i = 0; i < n; i++) vocabulary[i] = pieces[i];
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < i; j++)
                if (strcmp(pieces[i], pieces[j]) == 0) vocabulary[i] = NULL;
        bool unique = true;
        for (size_t i = 0; i < n; i++) unique = unique && vocabulary[i];
        if (!unique) continue;
        struct tokenizer *tokenizer = jobs_tokenizer("characters", vocabulary, NULL, NULL);
        struct stops *stops = make_stops((const char *const[]){"world, t", "xyz"}, 2);
        struct transcript t = make_transcript();
        bool stopped = false;
        for (size_t i = 0; i < n && !stopped; i++) {
            stopped = transcript_append(&t, tokenizer, stops, (int32_t)i, piece);
            if (!stopped) (void)transcript_publish(&t, stops);
            ck_assert_uint_le(visible(&t), 6);
        }
        ck_assert(stopped);
        transcript_close(&t, FINISH_STOP);
        ck_assert_uint_eq(visible(&t), 6);
        ck_assert_mem_eq(text, "hello ", 6);
        size_t whole = atomic_load(&t.visible_tokens);
        ck_assert_uint_eq(whole, 6 / step); /* the tokens that lie before it altogether */
        ck_assert_int_eq(atomic_load(&t.finish), FINISH_STOP);
        tokenizer_free(tokenizer);
    }
}
END_TEST

START_TEST(what_may_begin_a_stop_string_is_held_back)
{
    struct tokenizer *tokenizer = jobs_bytes();
    struct stops *stops = make_stops((const char *const[]){"\n\nEND", "EN"}, 2);
    struct transcript t = make_transcript();
    static const struct { char byte; size_t visible; } script[] = {
        {'a', 1}, {'\n', 1}, {'\n', 1}, {'\n', 2}, {'b', 5}, {'E', 5}, {'x', 7}, {'\n', 7}, {'\n', 7},
    };
    for (size_t i = 0; i < sizeof script / sizeof *script; i++) {
        ck_assert(!transcript_append(&t, tokenizer, stops, script[i].byte, piece));
        size_t before = visible(&t);
        ck_assert(transcript_publish(&t, stops) == (script[i].visible != before));
        ck_assert_uint_eq(visible(&t), script[i].visible);
        ck_assert_uint_eq(atomic_load(&t.visible_tokens), script[i].visible);
    }
    transcript_close(&t, FINISH_LENGTH);
    ck_assert_uint_eq(visible(&t), 9);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(of_two_stop_strings_the_first_to_end_wins_and_then_the_longer)
{
    struct tokenizer *tokenizer = jobs_bytes();
    struct stops *stops = make_stops((const char *const[]){"abcd", "bc", "xabc"}, 3);
    struct transcript t = make_transcript();
    const char *said = "..xabcd";
    bool stopped = false;
    size_t n = 0;
    while (!stopped) stopped = transcript_append(&t, tokenizer, stops, said[n++], piece);
    ck_assert_uint_eq(n, 6);
    transcript_close(&t, FINISH_STOP);
    ck_assert_uint_eq(visible(&t), 2);
    ck_assert_uint_eq(atomic_load(&t.visible_tokens), 2);
    tokenizer_free(tokenizer);
}
END_TEST

/* ---- code points ---- */

/* Bytes, and what Python's bytes.decode("utf-8", "replace") makes of them. */
static const struct {
    const char *bytes, *text;
} decoded[] = {
    {"plain", "plain"},
    {"\xc3\xa9", "\xc3\xa9"},
    {"\xe2\x82\xac!", "\xe2\x82\xac!"},
    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    {"\xff", "\xef\xbf\xbd"},
    {"a\x80z", "a\xef\xbf\xbdz"},
    {"\xc3", "\xef\xbf\xbd"},
    {"\xe2\x82", "\xef\xbf\xbd"},
    {"\xe2\x82z", "\xef\xbf\xbdz"},
    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xe0\x9f\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf0\x8f\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf1\x80\x80\xc3\xa9", "\xef\xbf\xbd\xc3\xa9"},
    {"\xf5\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xc3\xc3\xa9", "\xef\xbf\xbd\xc3\xa9"},
};

START_TEST(bytes_become_whole_code_points)
{
    struct tokenizer *tokenizer = jobs_bytes();
    struct transcript t = make_transcript();
    struct stops none = {0};
    const char *bytes = decoded[_i].bytes;
    size_t n = 0;
    for (; bytes[n]; n++) {
        ck_assert(!transcript_append(&t, tokenizer, &none, (unsigned char)bytes[n], piece));
        (void)transcript_publish(&t, &none);
        ck_assert(utf8_is_valid(text, visible(&t), NULL));
        ck_assert_uint_le(atomic_load(&t.visible_tokens), n + 1);
    }
    transcript_close(&t, FINISH_LENGTH);
    ck_assert_uint_eq(visible(&t), strlen(decoded[_i].text));
    ck_assert_mem_eq(text, decoded[_i].text, visible(&t));
    ck_assert_uint_eq(atomic_load(&t.visible_tokens), n);
    ck_assert_uint_le(visible(&t), transcript_text_bytes(tokenizer, n));
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(a_code_point_is_not_shown_in_part)
{
    struct tokenizer *tokenizer = jobs_bytes();
    struct transcript t = make_transcript();
    struct stops none = {0};
    const unsigned char euro[] = {0xe2, 0x82, 0xac};
    for (int i = 0; i < 3; i++) {
        (void)transcript_append(&t, tokenizer, &none, euro[i], piece);
        ck_assert(transcript_publish(&t, &none) == (i == 2));
        ck_assert_uint_eq(visible(&t), i == 2 ? 3 : 0);
        ck_assert_uint_eq(atomic_load(&t.visible_tokens), i == 2 ? 3 : 0);
        ck_assert_uint_eq(offsets[i], (size_t)i);
    }
    tokenizer_free(tokenizer);
}
END_TEST

/* Random bytes, random stop strings: what was shown stays, and is UTF-8; offsets do not fall. */
START_TEST(what_was_shown_never_changes)
{
    struct tokenizer *tokenizer = jobs_bytes();
    struct stops *stops = make_stops((const char *const[]){"\xc3\xa9", "\xef\xbf\xbd\xef\xbf\xbd", "aba"}, 3);
    static const unsigned char alphabet[] = {'a', 'b', 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xff, 0xf0, 0x9f};
    struct random random;
    random_init(&random, 21, (uint64_t)_i);
    struct transcript t = make_transcript();
    char shown[sizeof text];
    size_t n_shown = 0, n_tokens = 0;
    bool stopped = false;
    for (int i = 0; i < 60 && !stopped; i++) {
        stopped = transcript_append(&t, tokenizer, stops, alphabet[random_bits(&random) % 10], piece);
        if (stopped)
            transcript_close(&t, FINISH_STOP);
        else
            (void)transcript_publish(&t, stops);
        ck_assert_uint_ge(visible(&t), n_shown);
        ck_assert_mem_eq(text, shown, n_shown);
        n_shown = visible(&t);
        memcpy(shown, text, n_shown);
        ck_assert(utf8_is_valid(shown, n_shown, NULL));
        ck_assert_uint_ge(atomic_load(&t.visible_tokens), n_tokens);
        n_tokens = atomic_load(&t.visible_tokens);
        for (size_t k = 0; k < n_tokens; k++) {
            ck_assert_uint_le(offsets[k], n_shown);
            if (k > 0) ck_assert_uint_ge(offsets[k], offsets[k - 1]);
        }
    }
    for (size_t i = 0; stopped && i + 1 < n_shown; i++)
        ck_assert(memcmp(shown + i, "\xc3\xa9", 2) != 0);
    tokenizer_free(tokenizer);
}
END_TEST

/* ---- tokens ---- */

START_TEST(words_follow_what_came_before)
{
    struct tokenizer *tokenizer = jobs_tokenizer(
        "words", (const char *const[]){"<s>", "cat", "sat", "</s>", NULL}, "<s>", "</s>");
    struct stops none = {0};
    struct transcript t = make_transcript();
    (void)transcript_append(&t, tokenizer, &none, 1, piece);
    (void)transcript_append(&t, tokenizer, &none, 3, piece); /* adds nothing */
    (void)transcript_append(&t, tokenizer, &none, 2, piece);
    transcript_close(&t, FINISH_LENGTH);
    ck_assert_uint_eq(visible(&t), 7);
    ck_assert_mem_eq(text, "cat sat", 7);
    ck_assert_uint_eq(atomic_load(&t.visible_tokens), 3);
    ck_assert_uint_eq(offsets[1], 3);
    ck_assert_uint_eq(offsets[2], 3);

    t = make_transcript();
    transcript_follow(&t, tokenizer, 1);
    transcript_follow(&t, tokenizer, 0);
    (void)transcript_append(&t, tokenizer, &none, 2, piece);
    transcript_close(&t, FINISH_LENGTH);
    ck_assert_uint_eq(visible(&t), 4);
    ck_assert_mem_eq(text, " sat", 4);
    tokenizer_free(tokenizer);
}
END_TEST

START_TEST(room_is_never_exceeded)
{
    struct tokenizer *tokenizer = jobs_bytes();
    struct stops none = {0};
    struct transcript t = make_transcript();
    t.text_capacity = 4;
    t.token_capacity = 6;
    for (int i = 0; i < 10; i++) (void)transcript_append(&t, tokenizer, &none, 0xff, piece);
    transcript_close(&t, FINISH_LENGTH);
    ck_assert_uint_eq(visible(&t), 3);
    ck_assert_int_eq(text[3], '~');
    ck_assert_uint_eq(transcript_text_bytes(tokenizer, SIZE_MAX / 3), SIZE_MAX);
    tokenizer_free(tokenizer);
}
END_TEST

Suite *transcript_suite(void);

Suite *transcript_suite(void)
{
    Suite *suite = suite_create("transcript");
    TCase *stops = tcase_create("stops");
    tcase_add_loop_test(stops, stops_match_as_a_slow_search_does, 0, 10);
    tcase_add_test(stops, a_stop_string_may_lie_across_tokens);
    tcase_add_test(stops, what_may_begin_a_stop_string_is_held_back);
    tcase_add_test(stops, of_two_stop_strings_the_first_to_end_wins_and_then_the_longer);
    suite_add_tcase(suite, stops);
    TCase *code_points = tcase_create("code points");
    tcase_add_loop_test(code_points, bytes_become_whole_code_points, 0,
                        (int)(sizeof decoded / sizeof *decoded));
    tcase_add_test(code_points, a_code_point_is_not_shown_in_part);
    tcase_add_loop_test(code_points, what_was_shown_never_changes, 0, 200);
    suite_add_tcase(suite, code_points);
    TCase *tokens_case = tcase_create("tokens");
    tcase_add_test(tokens_case, words_follow_what_came_before);
    tcase_add_test(tokens_case, room_is_never_exceeded);
    suite_add_tcase(suite, tokens_case);
    return suite;
}
