/* room: the memory that machine and cgroup allow, as files below a folder of the test say it, and what is
 * said of a bundle that needs more. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/bundle/room.h"
#include "tests/support/tmp.h"
#include "tests/support/written.h"

#define MIB ((uint64_t)1 << 20)

static struct tmp tmp, machine;

static void setup(void)
{
    tmp_make(&tmp);
    tmp_make(&machine);
    tmp_mkdir(&machine, "proc/self");
    room_look_below(machine.path);
}

static void teardown(void)
{
    room_look_below(NULL);
    tmp_remove(&machine);
    tmp_remove(&tmp);
}

/* A file of the machine, with the folders on the way to it. */
static void put(const char *folder, const char *name, const char *text)
{
    char path[TMP_PATH_BYTES];
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s", folder, name), (int)sizeof path);
    tmp_mkdir(&machine, folder);
    tmp_write_text(&machine, path, text);
}

static void expect(uint64_t limit, uint64_t available)
{
    struct room room;
    room_read(&room);
    ck_assert_uint_eq(room.limit, limit);
    ck_assert_uint_eq(room.available, available);
}

START_TEST(what_says_nothing_limits_nothing)
{
    expect(UINT64_MAX, UINT64_MAX);
}
END_TEST

START_TEST(the_machine_limits)
{
    put("proc", "meminfo", "MemTotal:  1048576 kB\nMemFree: 10 kB\nMemAvailable:  524288 kB\n");
    expect(1024 * MIB, 512 * MIB);
}
END_TEST

START_TEST(each_cgroup_on_the_way_up_limits)
{
    put("proc", "meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n");
    put("proc/self", "cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b", "memory.max", "max\n");
    put("sys/fs/cgroup/a", "memory.max", "136314880\n"); /* 130 MiB */
    put("sys/fs/cgroup/a", "memory.current", "104857600\n");
    put("sys/fs/cgroup/a", "memory.stat", "anon 1\ninactive_file 52428800\n");
    expect(130 * MIB, 80 * MIB);
}
END_TEST

START_TEST(a_container_sees_its_own_cgroup_at_the_mount)
{
    put("proc/self", "cgroup", "0::/../../kubepods/pod7\n");
    put("sys/fs/cgroup", "memory.max", "104857600\n");
    put("sys/fs/cgroup", "memory.current", "204857600\n"); /* over its limit for a moment */
    expect(100 * MIB, 0);
}
END_TEST

START_TEST(the_first_version_limits)
{
    put("proc/self", "cgroup", "9:name=systemd:/memory\n4:cpu,memory:/job\n0::/\n");
    put("sys/fs/cgroup/memory", "memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/job", "memory.limit_in_bytes", "104857600\n");
    put("sys/fs/cgroup/memory/job", "memory.usage_in_bytes", "41943040\n");
    put("sys/fs/cgroup/memory/job", "memory.stat", "total_inactive_file 20971520\n");
    expect(100 * MIB, 80 * MIB);
}
END_TEST

START_TEST(sizes_are_written_for_people)
{
    static const struct { uint64_t bytes; const char *text; } cases[] = {
        {346, "346 bytes"}, {2048, "2.0 KiB"}, {412 * MIB, "412.0 MiB"}, {8192 * MIB, "8.0 GiB"},
        {1023 * MIB, "1.0 GiB"}, {UINT64_MAX, "16.0 EiB"}};
    char text[ROOM_TEXT_BYTES];
    ck_assert_str_eq(room_text(cases[_i].bytes, text), cases[_i].text);
}
END_TEST

static void expect_refusal(enum status expected, const char *sentence)
{
    struct model *model;
    struct error err = {.message = ""};
    enum status status = written_load(&tmp, PRECISION_FLOAT32, &model, &err);
    ck_assert_msg(status == expected && strstr(err.message, sentence), "%s (%s)", err.message,
                  status_text(status));
}

START_TEST(a_bundle_that_does_not_fit_is_refused_with_both_numbers)
{
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    put("proc", "meminfo", "MemTotal: 4 kB\nMemAvailable: 1 kB\n");
    expect_refusal(STATUS_TOO_LONG, " of memory while it is loaded, but 1.0 KiB are left of the 4.0 KiB ");
    put("proc", "meminfo", "MemTotal: 400 kB\nMemAvailable: 100 kB\n");
    struct model *model;
    ck_assert_int_eq(written_load(&tmp, PRECISION_FLOAT32, &model, NULL), STATUS_OK);
    model_drop(model);
}
END_TEST

/* Gates of 2^20 units would take 16 TiB: no machine has them, and none of it is asked for. */
START_TEST(a_tensor_that_is_missing_is_noticed_before_memory_is_taken)
{
    written_bundle(&tmp, "m", TASK_TEXT_GENERATION);
    written_edit(&tmp, "m", "config.json", "{\"type\": \"linear\"",
                 "{\"type\": \"lstm\", \"prefix\": \"l\", \"input_size\": 3, \"hidden_size\": 1048576},"
                 "{\"type\": \"linear\"");
    expect_refusal(STATUS_NOT_FOUND, "tensor 'l.bias_ih_l0' is missing");
}
END_TEST

/* The first weight is no number, which only reading it shows; what the header shows is said first. */
START_TEST(the_form_is_checked_before_a_value_is_read)
{
    static const char header[] =
        "{\"out.weight\": {\"dtype\": \"F32\", \"shape\": [2, 2], \"data_offsets\": [0, 16]},"
        " \"out.bias\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [16, 24]}}";
    const float weights[6] = {NAN};
    written_bundle(&tmp, "m", TASK_SEQUENCE_CLASSIFICATION);
    written_safetensors(&tmp, "m/model.safetensors", header, weights, sizeof weights);
    expect_refusal(STATUS_BAD_VALUE, "value 0 is NaN");
    written_edit(&tmp, "m", "config.json", "[\"up\", \"down\"]", "[\"up\", \"down\", \"left\"]");
    expect_refusal(STATUS_BAD_SHAPE, "the network gives 2 numbers, 'labels' has 3");
}
END_TEST

Suite *room_suite(void);

Suite *room_suite(void)
{
    Suite *suite = suite_create("room");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, what_says_nothing_limits_nothing);
    tcase_add_test(core, the_machine_limits);
    tcase_add_test(core, each_cgroup_on_the_way_up_limits);
    tcase_add_test(core, a_container_sees_its_own_cgroup_at_the_mount);
    tcase_add_test(core, the_first_version_limits);
    tcase_add_loop_test(core, sizes_are_written_for_people, 0, 6);
    tcase_add_test(core, a_bundle_that_does_not_fit_is_refused_with_both_numbers);
    tcase_add_test(core, a_tensor_that_is_missing_is_noticed_before_memory_is_taken);
    tcase_add_test(core, the_form_is_checked_before_a_value_is_read);
    suite_add_tcase(suite, core);
    return suite;
}
