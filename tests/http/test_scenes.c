/* The bundled models `scenes` and `clips` over HTTP: pictures and animations that are drawn here, as PNG
 * files of four and eight times the size that the models read, have their sentences. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "client.h"

static struct server server;

static void start(void)
{
    static const char bundles[] = "CAROUSEL_MODELS_BUNDLES=scenes=zoo/scenes:clips=zoo/clips";
    server_start(&server, (const char *const[]){bundles, NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

enum { SIDE = 192, PNG_ROOM = SIDE * (SIDE * 3 + 1) + 1024 };

enum shape { CIRCLE, SQUARE, TRIANGLE };

struct thing {
    enum shape shape;
    int x, y, radius; /* of its middle, in pixels */
    unsigned char colour[3];
};

static const struct {
    struct thing things[2];
    size_t n;
    const char *text;
} pictures[] = {
    {{{CIRCLE, 96, 52, 40, {255, 0, 0}}, {SQUARE, 98, 138, 18, {0, 0, 255}}}, 2,
     "a large red circle above a small blue square"},
    {{{SQUARE, 56, 100, 40, {0, 128, 0}}, {CIRCLE, 150, 100, 20, {255, 165, 0}}}, 2,
     "a large green square left of a small orange circle"},
    {{{TRIANGLE, 96, 90, 40, {128, 0, 128}}}, 1, "a large purple triangle in the middle"},
    {{{CIRCLE, 40, 96, 20, {255, 255, 0}}, {SQUARE, 150, 90, 20, {255, 192, 203}}}, 2,
     "a small yellow circle left of a small pink square"},
};

static int covers(const struct thing *thing, int x, int y)
{
    int dx = x - thing->x, dy = y - thing->y, r = thing->radius;
    if (thing->shape == CIRCLE) return dx * dx + dy * dy <= r * r;
    if (thing->shape == SQUARE) return abs(dx) <= r && abs(dy) <= r;
    return dy <= r && 2 * abs(dx) <= dy + r;
}

static void put_be32(unsigned char *out, size_t value)
{
    for (int i = 0; i < 4; i++) out[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* Append a chunk of a PNG file; return where the next begins. */
static unsigned char *put_chunk(unsigned char *out, const char *kind, const unsigned char *bytes, size_t n)
{
    put_be32(out, n);
    memcpy(out + 4, kind, 4);
    if (n) memcpy(out + 8, bytes, n);
    put_be32(out + 8 + n, crc32(0, out + 4, (uInt)(n + 4)));
    return out + 12 + n;
}

static size_t draw(const struct thing *things, size_t n, unsigned char *out)
{
    static unsigned char lines[SIDE * (SIDE * 3 + 1)], packed[PNG_ROOM];
    unsigned char head[13] = {[8] = 8, [9] = 2}, *at = lines, *end = out + 8;
    uLongf bytes = sizeof packed;
    for (int y = 0; y < SIDE; y++) {
        *at++ = 0;
        for (int x = 0; x < SIDE; x++, at += 3) {
            memset(at, 255, 3);
            for (size_t i = 0; i < n; i++)
                if (covers(&things[i], x, y)) memcpy(at, things[i].colour, 3);
        }
    }
    ck_assert_int_eq(compress(packed, &bytes, lines, sizeof lines), Z_OK);
    memcpy(out, "\x89PNG\r\n\x1a\n", 8);
    put_be32(head, SIDE);
    put_be32(head + 4, SIDE);
    end = put_chunk(end, "IHDR", head, sizeof head);
    end = put_chunk(end, "IDAT", packed, bytes);
    return (size_t)(put_chunk(end, "IEND", NULL, 0) - out);
}

static void put_base64(char *out, const unsigned char *bytes, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned char three[3] = {bytes[i], i + 1 < n ? bytes[i + 1] : 0, i + 2 < n ? bytes[i + 2] : 0};
        unsigned bits = (unsigned)three[0] << 16 | (unsigned)three[1] << 8 | three[2];
        for (size_t k = 0; k < 4; k++) *out++ = i + k <= n ? letters[bits >> (18 - 6 * k) & 63] : '=';
    }
    *out = '\0';
}

START_TEST(a_picture_has_its_sentence)
{
    static unsigned char file[PNG_ROOM];
    static char url[2 * PNG_ROOM], body[2 * PNG_ROOM + 200];
    put_base64(url, file, draw(pictures[_i].things, pictures[_i].n, file));
    snprintf(body, sizeof body, "{'model':'scenes','image':'data:image/png;base64,%s'}", url);
    struct reply *reply = post(&server, "/v1/caption", body);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "captions.0.text"), pictures[_i].text);
}
END_TEST

/* A dark thing that begins at (x, y) and goes (dx, dy) from frame to frame; if it blinks, it is seen in every
 * other pair of frames. */
static const struct {
    struct thing thing;
    int dx, dy, blinks;
    const char *text;
} clips[] = {
    {{CIRCLE, 142, 96, 48, {30, 30, 30}}, -6, 0, 0, "a circle moves left"},
    {{SQUARE, 90, 50, 42, {0, 0, 0}}, 0, 6, 0, "a square moves down"},
    {{TRIANGLE, 100, 96, 46, {50, 50, 50}}, 0, 0, 1, "a triangle blinks"},
};

START_TEST(an_animation_has_its_sentence)
{
    enum { FRAMES = 16 };
    static unsigned char file[PNG_ROOM];
    static char url[2 * PNG_ROOM], body[FRAMES * sizeof url / 8];
    size_t n = (size_t)snprintf(body, sizeof body, "{'model':'clips','frames':[");
    struct thing thing = clips[_i].thing;
    for (int i = 0; i < FRAMES; i++, thing.x += clips[_i].dx, thing.y += clips[_i].dy) {
        put_base64(url, file, draw(&thing, !clips[_i].blinks || i / 2 % 2 == 0, file));
        n += (size_t)snprintf(body + n, sizeof body - n, "%s'data:image/png;base64,%s'", i ? "," : "", url);
        ck_assert_uint_lt(n, sizeof body - 2);
    }
    memcpy(body + n, "]}", 3);
    struct reply *reply = post(&server, "/v1/caption", body);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "captions.0.text"), clips[_i].text);
}
END_TEST

Suite *scenes_suite(void);

Suite *scenes_suite(void)
{
    Suite *suite = suite_create("scenes");
    TCase *cases = tcase_create("scenes");
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_loop_test(cases, a_picture_has_its_sentence, 0, (int)(sizeof pictures / sizeof *pictures));
    tcase_add_loop_test(cases, an_animation_has_its_sentence, 0, (int)(sizeof clips / sizeof *clips));
    suite_add_tcase(suite, cases);
    return suite;
}
