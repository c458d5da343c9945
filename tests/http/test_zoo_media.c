/* The bundled models that hear, draw and write: recordings have their texts, and what is drawn or written is
 * read back. */
#include <check.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "websocket.h"

enum { SIDE = 28, ROOM = 1 << 17 };

static struct server server;

static void start(void)
{
    server_start(&server, (const char *const[]){
        "CAROUSEL_MODELS_BUNDLES=digits=zoo/digits:digits-draw=zoo/digits-draw:"
        "digits-speech=zoo/digits-speech:digits-speech-live=zoo/digits-speech-live:"
        "handwriting=zoo/handwriting:ink=zoo/ink", NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

/* ---- digits-speech ------------------------------------------------------------------------------ */

static void put(char *at, unsigned long value, size_t n)
{
    for (size_t i = 0; i < n; i++) at[i] = (char)(value >> 8 * i);
}

/* A WAV file of 16 bits, one channel, 8 kHz, of an array of samples from -1 to 1. */
static size_t make_wav(char *out, const cJSON *samples, double gain)
{
    size_t n = 44;
    const cJSON *sample;
    memcpy(out, "RIFF\0\0\0\0WAVEfmt \20\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\20\0data", 40);
    cJSON_ArrayForEach(sample, samples) {
        ck_assert_uint_lt(n + 2, ROOM);
        put(out + n, (unsigned long)(long)(gain * 32767 * sample->valuedouble), 2);
        n += 2;
    }
    put(out + 4, n - 8, 4);
    put(out + 40, n - 44, 4);
    return n;
}

static const char *heard(const char *file, size_t n_file)
{
    static const char head[] =
        "--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ndigits-speech\r\n"
        "--xYz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
        "Content-Type: audio/wav\r\n\r\n", tail[] = "\r\n--xYz--\r\n";
    static struct client client;
    static struct reply reply;
    client_open(&client, &server);
    client_say(&client, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
               "Content-Type: multipart/form-data; boundary=xYz\r\nContent-Length: %zu\r\n\r\n",
               sizeof head - 1 + n_file + sizeof tail - 1);
    client_send(&client, head, sizeof head - 1);
    client_send(&client, file, n_file);
    client_send(&client, tail, sizeof tail - 1);
    ck_assert(client_read(&client, &reply));
    client_close(&client);
    expect_ok(&reply);
    return text_at(&reply, "text");
}

/* The held-out recordings that travel with a bundle: cases.0.input and so on. The caller frees it. */
static cJSON *read_recordings(const char *path)
{
    static char text[1 << 20];
    FILE *golden = fopen(path, "r");
    ck_assert_ptr_nonnull(golden);
    size_t n = fread(text, 1, sizeof text, golden);
    ck_assert_uint_lt(n, sizeof text);
    fclose(golden);
    return cJSON_ParseWithLength(text, n);
}

static const char *const texts[] = {"7", "31", "085"};

/* As loud as they are and eight times as quiet. */
START_TEST(digits_are_heard)
{
    static char file[ROOM];
    cJSON *json = read_recordings("zoo/digits-speech/golden.json");
    for (int i = 0; i < 3; i++)
        for (double gain = 1; gain > 0.1; gain /= 8) {
            char path[32];
            snprintf(path, sizeof path, "cases.%d.input", i);
            ck_assert_str_eq(heard(file, make_wav(file, json_at(json, path), gain)), texts[i]);
        }
    cJSON_Delete(json);
}
END_TEST

/* Send a recording, and a second of silence, in pieces of a fifth of a second. Return how often the text has
 * changed. */
static int listen(const cJSON *samples, double gain, const char *text)
{
    enum { PIECE = 1600 };
    static struct client client;
    static struct frame frame;
    char before[16] = "";
    float piece[PIECE];
    int changes = 0, n = 0, n_after = 0;
    const cJSON *sample = samples->child;
    ws_open(&client, &server, "");
    ws_say(&client, "{'model':'digits-speech-live'}");
    ws_hear(&client, &frame);
    while (sample || n_after < 5) {
        n_after += !sample;
        for (n = 0; n < PIECE; n++) {
            piece[n] = sample ? (float)(gain * sample->valuedouble) : 0;
            if (sample) sample = sample->next;
        }
        ws_frame(&client, FINAL | FRAME_BINARY, piece, sizeof piece);
        ws_hear(&client, &frame);
        if (!sample) ck_assert_str_eq(frame_text(&frame, "text"), text); /* silence changes nothing */
        changes += strcmp(before, frame_text(&frame, "text")) != 0;
        snprintf(before, sizeof before, "%s", frame_text(&frame, "text"));
    }
    ws_close(&client);
    return changes;
}

/* While the microphone is open, a digit is written before the next one is said. */
START_TEST(digits_are_heard_while_they_are_said)
{
    cJSON *json = read_recordings("zoo/digits-speech-live/golden.json");
    for (int i = 0; i < 3; i++)
        for (double gain = 1; gain > 0.1; gain /= 8) {
            char path[32];
            snprintf(path, sizeof path, "cases.%d.input", i);
            ck_assert_int_ge(listen(json_at(json, path), gain, texts[i]), (int)strlen(texts[i]));
        }
    cJSON_Delete(json);
}
END_TEST

/* ---- digits-draw -------------------------------------------------------------------------------- */

static size_t from_base64(const char *text, unsigned char *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, n_bits = 0;
    size_t n = 0;
    for (; *text && *text != '='; text++) {
        bits = bits << 6 | (unsigned)(strchr(letters, *text) - letters);
        n_bits += 6;
        if (n_bits >= 8) out[n++] = (unsigned char)(bits >> (n_bits -= 8));
    }
    return n;
}

/* The pixels of a PNG file of one digit. */
static void read_png(const char *base64, unsigned char pixels[SIDE * SIDE])
{
    static unsigned char file[1 << 14];
    png_image image = {.version = PNG_IMAGE_VERSION};
    ck_assert(png_image_begin_read_from_memory(&image, file, from_base64(base64, file)));
    image.format = PNG_FORMAT_GRAY;
    ck_assert(image.width == SIDE && image.height == SIDE);
    ck_assert(png_image_finish_read(&image, NULL, pixels, SIDE, NULL));
}

/* What `digits` reads in a PNG of black ink, blurred as its recipe blurs drawn pictures. */
static const char *read_back(const char *base64)
{
    static unsigned char ink[SIDE + 2][SIDE + 2];
    static char body[1 << 15];
    unsigned char pixels[SIDE * SIDE];
    read_png(base64, pixels);
    for (int i = 0; i < SIDE * SIDE; i++) ink[1 + i / SIDE][1 + i % SIDE] = pixels[i] < 128;
    size_t n = (size_t)snprintf(body, sizeof body, "{'model':'digits','input':[");
    for (int y = 1; y <= SIDE; y++)
        for (int x = 1; x <= SIDE; x++) {
            int sum = 0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++) sum += ink[y + dy][x + dx] * (2 - abs(dy)) * (2 - abs(dx));
            n += (size_t)snprintf(body + n, sizeof body - n, "%s%g%s", x == 1 ? "[" : "", sum / 16.0,
                                  x < SIDE ? "," : y < SIDE ? "]," : "]]}");
        }
    struct reply *reply = post(&server, "/v1/classify", body);
    expect_ok(reply);
    return text_at(reply, "results.0.0.label");
}

/* Four of each: nearly all are read as asked. */
START_TEST(drawn_digits_are_read_as_asked)
{
    static char pictures[4][1 << 14];
    int good = 0;
    for (int digit = 0; digit < 10; digit++) {
        struct reply *reply = postf(&server, "/v1/images/generations",
                                    "{'model':'digits-draw','prompt':'%d','n':4,'seed':3}", digit);
        expect_ok(reply);
        for (int i = 0; i < 4; i++) {
            char path[32];
            snprintf(path, sizeof path, "data.%d.b64_json", i);
            snprintf(pictures[i], sizeof pictures[i], "%s", text_at(reply, path));
            ck_assert_double_gt(number_at(reply, "data.0.log_probability"), -300);
        }
        for (int i = 0; i < 4; i++) good += read_back(pictures[i])[0] == '0' + digit;
    }
    ck_assert_int_ge(good, 34);
}
END_TEST

/* Upper parts of pictures come while these are drawn, each with more rows than the one before, and paper
 * below. */
START_TEST(a_drawing_shows_its_rows)
{
    static struct client client;
    static struct reply stream;
    int rows[8] = {0}, n_parts = 0, n_whole = 0;
    client_open(&client, &server);
    client_post(&client, "/v1/images/generations",
                "{'model':'digits-draw','prompt':'8','n':8,'seed':1,'stream':true}");
    ck_assert(client_read(&client, &stream));
    ck_assert_int_eq(stream.status, 200);
    for (char *at = stream.body, *end; strncmp(at, "data: [DONE]", 12) != 0; at = end + 2) {
        unsigned char pixels[SIDE * SIDE];
        end = strstr(at, "\n\n");
        ck_assert_ptr_nonnull(end);
        cJSON *event = cJSON_ParseWithLength(at + 6, (size_t)(end - at - 6));
        bool is_part = strcmp(json_at(event, "type")->valuestring, "image_generation.completed") != 0;
        n_parts += is_part;
        n_whole += !is_part;
        if (is_part) {
            int *of = &rows[(int)json_at(event, "index")->valuedouble];
            ck_assert_int_gt((int)json_at(event, "rows")->valuedouble, *of);
            *of = (int)json_at(event, "rows")->valuedouble;
            read_png(json_at(event, "b64_json")->valuestring, pixels);
            for (int i = *of * SIDE; i < SIDE * SIDE; i++) ck_assert_uint_eq(pixels[i], 255);
        }
        cJSON_Delete(event);
    }
    ck_assert_int_eq(n_whole, 8);
    ck_assert_int_ge(n_parts, 1);
    client_close(&client);
}
END_TEST

/* ---- handwriting -------------------------------------------------------------------------------- */

enum { LONGEST = 40 };

/* How many letters must be put in, left out or changed to make one text of the other (Levenshtein). */
static int distance(const char *a, const char *b)
{
    int away[LONGEST + 1][LONGEST + 1] = {{0}};
    const size_t n = strlen(a), m = strlen(b);
    ck_assert(n <= LONGEST && m <= LONGEST);
    for (size_t i = 0; i <= n; i++)
        for (size_t k = 0; k <= m; k++) {
            int least = (int)(i + k);
            if (i > 0 && k > 0) {
                least = away[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
                if (away[i - 1][k] + 1 < least) least = away[i - 1][k] + 1;
                if (away[i][k - 1] + 1 < least) least = away[i][k - 1] + 1;
            }
            away[i][k] = least;
        }
    return away[n][m];
}

/* What `ink` reads in a word by hand. */
static const char *write_and_read(const char *word, int seed)
{
    struct reply *reply = postf(&server, "/v1/handwriting",
                                "{'model':'handwriting','input':'%s','seed':%d}", word, seed);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "finish_reason"), "stop");
    char *strokes = cJSON_PrintUnformatted(reply_at(reply, "strokes"));
    char *body = malloc(strlen(strokes) + 64);
    sprintf(body, "{\"model\":\"ink\",\"strokes\":%s}", strokes);
    reply = ask(&server, "POST", "/v1/transcribe", body);
    free(body);
    cJSON_free(strokes);
    expect_ok(reply);
    return text_at(reply, "text");
}

/* Every word ends by itself, and most of its letters are read. */
START_TEST(what_is_written_is_read)
{
    static const char *const words[] = {"written", "garden", "Monday", "house", "1984", "water", "people",
                                        "London", "window", "letters"};
    int wrong = 0, letters = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int seed = 1; seed <= 3; seed++) {
            wrong += distance(write_and_read(words[i], seed), words[i]);
            letters += (int)strlen(words[i]);
        }
    ck_assert_int_le(10 * wrong, 3 * letters);
}
END_TEST

Suite *zoo_media_suite(void);

Suite *zoo_media_suite(void)
{
    Suite *suite = suite_create("zoo_media");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, digits_are_heard);
    tcase_add_test(core, digits_are_heard_while_they_are_said);
    tcase_add_test(core, drawn_digits_are_read_as_asked);
    tcase_add_test(core, a_drawing_shows_its_rows);
    tcase_add_test(core, what_is_written_is_read);
    suite_add_tcase(suite, core);
    return suite;
}
