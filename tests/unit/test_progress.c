/* The line that says how far loading has come: what it says, and what it counts. */
#include <check.h>
#include <fcntl.h>
#include <unistd.h>

#include "models/text/hash.h"
#include "server/progress.h"
#include "tests/support/tmp.h"

static const struct {
    uint64_t read, all;
    unsigned seconds;
    const char *text;
} lines[] = {
    {0, 900 << 20, 0, "loading: 0 bytes of 900.0 MiB read (0 %), 0 s"},
    {103 << 20, 412 << 20, 3, "loading: 103.0 MiB of 412.0 MiB read (25 %), 3 s"},
    {412 << 20, 412 << 20, 29, "loading: 412.0 MiB of 412.0 MiB read (100 %), 29 s"},
    {500, 400, 1, "loading: 400 bytes of 400 bytes read (100 %), 1 s"},
    {0, 0, 1, "loading: 0 bytes of 0 bytes read (100 %), 1 s"},
};

START_TEST(the_line_says_how_much_is_read)
{
    char out[PROGRESS_TEXT_BYTES];
    ck_assert_str_eq(progress_text(lines[_i].read, lines[_i].all, lines[_i].seconds, out), lines[_i].text);
}
END_TEST

START_TEST(what_is_hashed_counts_as_read)
{
    char hex[HASH_HEX_BYTES];
    uint64_t before = hash_bytes_read();
    char path[TMP_PATH_BYTES];
    struct tmp tmp;
    tmp_make(&tmp);
    tmp_write_text(&tmp, "file", "twelve bytes");
    int fd = open(tmp_path(&tmp, "file", path), O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(hash_read(fd, "file", NULL, 12, hex, NULL), STATUS_OK);
    ck_assert_uint_eq(hash_bytes_read() - before, 12);
    close(fd);
    tmp_remove(&tmp);
}
END_TEST

Suite *progress_suite(void);

Suite *progress_suite(void)
{
    Suite *suite = suite_create("progress");
    TCase *core = tcase_create("progress");
    tcase_add_loop_test(core, the_line_says_how_much_is_read, 0, sizeof lines / sizeof *lines);
    tcase_add_test(core, what_is_hashed_counts_as_read);
    suite_add_tcase(suite, core);
    return suite;
}
