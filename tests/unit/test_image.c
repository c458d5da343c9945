/* image, picture, base64: files of other programs as pixels and as rows, against Pillow and NumPy
 * (tests/unit/pictures/make.py); bombs, damage, and no memory. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/memory.h"
#include "models/features/picture.h"
#include "models/media/image.h"
#include "models/text/base64.h"

Suite *image_suite(void);

#define FOLDER "tests/unit/pictures/"
enum { MAX_FILE = 4096, MAX_PIXELS = 1 << 12, N_CASES = 16 };

static const char *const files[] = {"smooth.png", "clear.png", "grey.png", "palette.png", "smooth.jpg",
                                    "progressive.jpg", "grey.jpg", "moving.gif", "disposed.gif"};
enum { N_FILES = sizeof files / sizeof *files };

static size_t read_file(const char *name, uint8_t bytes[MAX_FILE])
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s", name);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(bytes, 1, MAX_FILE, file);
    fclose(file);
    ck_assert(n > 0 && n < MAX_FILE);
    return n;
}

static void check_rows(FILE *text, const char *name, const struct picture_spec *spec)
{
    uint8_t bytes[MAX_FILE];
    struct image image;
    struct error err = {0};
    size_t n = picture_frames(spec) * picture_patches(spec) * picture_row_size(spec);
    double *rows = memory_new(n, sizeof *rows), expected;
    ck_assert_ptr_nonnull(rows);
    ck_assert_int_eq(picture_check(spec, &err), STATUS_OK);
    ck_assert_msg(image_decode(bytes, read_file(name, bytes), MAX_PIXELS, &image, &err) == STATUS_OK,
                  "%s: %s", name, err.message);
    picture_put(spec, &image, rows);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(fscanf(text, "%lf", &expected), 1);
        ck_assert_msg(fabs(rows[i] - expected) < 1e-8, "%s: number %zu is %.9g, expected %.9g", name, i,
                      rows[i], expected);
    }
    image_free(&image);
    memory_free(rows);
}

START_TEST(rows_are_those_of_numpy)
{
    FILE *text = fopen(FOLDER "rows.txt", "r");
    char name[64], fit[16];
    int coordinates, n = 0;
    struct picture_spec spec = {0};
    ck_assert_ptr_nonnull(text);
    while (fscanf(text, "%63s %ld %ld %ld %ld %15s %d %ld", name, &spec.width, &spec.height, &spec.patch,
                  &spec.channels, fit, &coordinates, &spec.frames) == 8) {
        spec.coordinates = coordinates;
        for (spec.fit = 0; strcmp(picture_fit_names[spec.fit], fit) != 0;) spec.fit++;
        check_rows(text, name, &spec);
        n++;
    }
    ck_assert_int_eq(n, N_CASES);
    fclose(text);
}
END_TEST

START_TEST(a_picture_of_the_right_size_stays_as_it_is)
{
    uint8_t bytes[MAX_FILE];
    struct image image;
    struct error err;
    const struct picture_spec spec = {.width = 14, .height = 9, .channels = 3};
    double rows[14 * 9 * 3];
    ck_assert_int_eq(image_decode(bytes, read_file("smooth.png", bytes), MAX_PIXELS, &image, &err),
                     STATUS_OK);
    picture_put(&spec, &image, rows);
    for (size_t i = 0; i < 14 * 9 * 3; i++)
        ck_assert_double_eq_tol(rows[i], image.pixels[i / 3 * 4 + i % 3] / 255.0, 1e-15);
    image_free(&image);
}
END_TEST

static void write_be32(uint8_t *out, size_t value)
{
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void refuse(const uint8_t *bytes, size_t n, const char *sentence)
{
    struct image image;
    struct error err = {0};
    ck_assert_int_eq(image_decode(bytes, n, MAX_PIXELS, &image, &err), STATUS_BAD_VALUE);
    ck_assert_msg(strstr(err.message, sentence) != NULL, "'%s' is not in '%s'", sentence, err.message);
    image_free(&image);
}

/* A few bytes that say they are gigapixels. Nothing of that size is allocated: memory_new would count it. */
START_TEST(bombs_are_refused_by_their_headers)
{
    static const size_t sides[][2] = {{65535, 65535}, {MAX_PIXELS + 1, 1}, {65, 64}, {0x7fffffff, 0x7fffffff},
                                      {0, 9}, {9, 0}};
    uint8_t bytes[MAX_FILE];
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        size_t n = read_file("smooth.png", bytes), width = sides[i][0], height = sides[i][1];
        uint64_t before = memory_allocations();
        write_be32(bytes + 16, width);
        write_be32(bytes + 20, height);
        write_be32(bytes + 29, crc32(0, bytes + 12, 17));
        refuse(bytes, n, width > 65535 || !width || !height ? "PNG file: " : "expected at most 4096 pixels");
        ck_assert_uint_eq(memory_allocations(), before);
        if (width > 65535) continue;
        n = read_file("smooth.jpg", bytes);
        uint8_t *header = bytes;
        while (!(header[0] == 0xff && header[1] == 0xc0)) header++;
        header[5] = (uint8_t)(height >> 8), header[6] = (uint8_t)height;
        header[7] = (uint8_t)(width >> 8), header[8] = (uint8_t)width;
        refuse(bytes, n, "JPEG file: ");
        n = read_file("moving.gif", bytes);
        bytes[6] = (uint8_t)width, bytes[7] = (uint8_t)(width >> 8);
        bytes[8] = (uint8_t)height, bytes[9] = (uint8_t)(height >> 8);
        refuse(bytes, n, "GIF file: ");
        ck_assert_uint_eq(memory_allocations(), before);
    }
}
END_TEST

/* Five frames of 48 pixels do not fit where four would. */
START_TEST(frames_count_against_the_limit)
{
    uint8_t bytes[MAX_FILE];
    struct image image;
    struct error err;
    size_t n = read_file("moving.gif", bytes);
    ck_assert_int_eq(image_decode(bytes, n, 5 * 48, &image, &err), STATUS_OK);
    ck_assert_uint_eq(image.n_frames, 5);
    image_free(&image);
    ck_assert_int_eq(image_decode(bytes, n, 5 * 48 - 1, &image, &err), STATUS_BAD_VALUE);
    image_free(&image);
}
END_TEST

/* Cut short at any byte: refused, or whole all the same, because what is missing says nothing. */
START_TEST(what_is_cut_short_is_refused)
{
    uint8_t bytes[MAX_FILE];
    size_t n = read_file(files[_i], bytes);
    for (size_t cut = 0; cut < n; cut++) {
        struct image image;
        struct error err = {0};
        uint8_t *part = malloc(cut + 1); /* of exactly that size, for the address sanitizer */
        memcpy(part, bytes, cut);
        enum status status = image_decode(part, cut, MAX_PIXELS, &image, &err);
        ck_assert(status == STATUS_BAD_VALUE || status == STATUS_OK);
        if (cut < n / 2) ck_assert_int_eq(status, STATUS_BAD_VALUE);
        ck_assert_int_eq(status == STATUS_OK, err.message[0] == '\0');
        image_free(&image);
        free(part);
    }
}
END_TEST

START_TEST(any_damage_is_survived)
{
    uint8_t bytes[MAX_FILE];
    size_t n = read_file(files[_i], bytes);
    for (size_t at = 0; at < n; at++)
        for (int flip = 1; flip < 256; flip <<= 1) {
            struct image image;
            struct error err;
            bytes[at] ^= (uint8_t)flip;
            enum status status = image_decode(bytes, n, MAX_PIXELS, &image, &err);
            ck_assert(status == STATUS_BAD_VALUE || status == STATUS_OK);
            if (status == STATUS_OK)
                ck_assert_uint_le(image.width * image.height * image.n_frames, MAX_PIXELS);
            image_free(&image);
            bytes[at] ^= (uint8_t)flip;
        }
}
END_TEST

START_TEST(no_memory_is_told)
{
    uint8_t bytes[MAX_FILE];
    size_t n = read_file(files[_i], bytes);
    enum status status = STATUS_NO_MEMORY;
    for (uint64_t nth = 1; status != STATUS_OK; nth++) {
        struct image image;
        struct error err;
        ck_assert_uint_lt(nth, 100);
        memory_fail_at(nth);
        status = image_decode(bytes, n, MAX_PIXELS, &image, &err);
        memory_fail_at(0);
        ck_assert(status == STATUS_OK || status == STATUS_NO_MEMORY);
        image_free(&image);
    }
}
END_TEST

START_TEST(colours_of_print_and_other_files_are_refused)
{
    uint8_t bytes[MAX_FILE];
    refuse(bytes, read_file("print.jpg", bytes), "CMYK");
    refuse((const uint8_t *)"RIFF1234WEBP", 12, "expected a PNG, JPEG or GIF file");
    refuse((const uint8_t *)"", 0, "0 bytes");
    refuse((const uint8_t *)"\x89PNG\r\n\x1a\n", 8, "PNG file: it is damaged or cut short");
    refuse((const uint8_t *)"\xff\xd8\xff\xd9", 4, "JPEG file: it is damaged or cut short");
    refuse((const uint8_t *)"GIF89a", 6, "GIF file: it is damaged or cut short");
}
END_TEST

START_TEST(data_urls)
{
    static const struct {
        const char *url, *sentence;
    } rows[] = {
        {"", "expected a data URL"},
        {"data:", "expected a data URL"},
        {"data:,", "expected a data URL"},
        {";base64,", "expected a data URL"},
        {"http://localhost/a.png", "expected a data URL"},
        {"data:image/png,abc", "expected a data URL"},
        {"data:image/png;base64,a", "no base64"},
        {"data:image/png;base64,ab!d", "no base64"},
        {"data:image/png;base64,", "0 bytes that are no picture"},
        {"data:image/svg+xml;base64,PHN2Zz4=", "no picture which can be read"},
        {"data:image/png;base64,/9j/4A==", "the media type is image/png, but the bytes are a JPEG file"},
        {"data:image/jpeg;base64,iVBORw0KGgo=", "the bytes are a PNG file, of type image/png"},
    };
    struct image image;
    struct error err = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(image_decode_url(rows[i].url, strlen(rows[i].url), MAX_PIXELS, &image, &err),
                         STATUS_BAD_VALUE);
        ck_assert_msg(strstr(err.message, rows[i].sentence) != NULL, "%s: %s", rows[i].url, err.message);
    }
    uint8_t bytes[MAX_FILE];
    char url[2 * MAX_FILE] = "data:image/png;base64,";
    size_t n = read_file("smooth.png", bytes), scheme = strlen(url);
    base64_write(bytes, n, url + scheme);
    ck_assert_int_eq(image_decode_url(url, strlen(url), MAX_PIXELS, &image, &err), STATUS_OK);
    ck_assert_uint_eq(image.width, 14);
    ck_assert_uint_eq(image.height, 9);
    image_free(&image);
}
END_TEST

START_TEST(base64_is_that_of_the_standard)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
    static const char *const wrong[] = {"Z", "Zg=", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "====", "Zg==Zg==",
                                        "Zm9-", "=Zg="};
    uint8_t out[64];
    char text[64];
    size_t n;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *plain = pairs[i][0], *coded = pairs[i][1];
        ck_assert(base64_read(coded, strlen(coded), out, &n) && n == strlen(plain));
        ck_assert_int_eq(memcmp(out, plain, n), 0);
        ck_assert(base64_read(coded, strcspn(coded, "="), out, &n) && n == strlen(plain));
        base64_write((const uint8_t *)plain, n, text);
        ck_assert_str_eq(text, coded);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!base64_read(wrong[i], strlen(wrong[i]), out, &n), "%s", wrong[i]);
}
END_TEST

Suite *image_suite(void)
{
    Suite *suite = suite_create("image");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 120);
    tcase_add_test(core, rows_are_those_of_numpy);
    tcase_add_test(core, a_picture_of_the_right_size_stays_as_it_is);
    tcase_add_test(core, bombs_are_refused_by_their_headers);
    tcase_add_test(core, frames_count_against_the_limit);
    tcase_add_loop_test(core, what_is_cut_short_is_refused, 0, N_FILES);
    tcase_add_loop_test(core, any_damage_is_survived, 0, N_FILES);
    tcase_add_loop_test(core, no_memory_is_told, 0, N_FILES);
    tcase_add_test(core, colours_of_print_and_other_files_are_refused);
    tcase_add_test(core, data_urls);
    tcase_add_test(core, base64_is_that_of_the_standard);
    suite_add_tcase(suite, core);
    return suite;
}
