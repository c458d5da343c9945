/* processors: quotas in either version of cgroups, from our own group up to the root. */
#include <check.h>

#include "server/processors.h"
#include "tests/support/tmp.h"

Suite *processors_suite(void);

struct file {
    const char *folder, *name, *text;
};

struct machine {
    const char *what;
    struct file files[6];
    double quota;
};

#define V1 "sys/fs/cgroup/cpu,cpuacct"
#define V2 "sys/fs/cgroup"
#define OWN(text) {"proc/self", "proc/self/cgroup", text}
#define MAX(folder, text) {folder, folder "/cpu.max", text}
#define CFS(folder, quota) \
    {folder, folder "/cpu.cfs_quota_us", quota}, {folder, folder "/cpu.cfs_period_us", "100000\n"}

static const struct machine machines[] = {
    {"no cgroups", {{NULL, NULL, NULL}}, 0},
    {"no limit", {OWN("0::/\n"), MAX(V2, "max 100000\n")}, 0},
    {"a container", {OWN("0::/\n"), MAX(V2, "150000 100000\n")}, 1.5},
    {"a service",
     {OWN("0::/system.slice/a.service\n"), MAX(V2 "/system.slice/a.service", "200000 100000\n")},
     2},
    {"a slice of it is smaller",
     {OWN("0::/system.slice/a.service\n"), MAX(V2 "/system.slice/a.service", "300000 100000\n"),
      MAX(V2 "/system.slice", "250000 100000\n")},
     2.5},
    {"a group that is not visible", {OWN("0::/docker/abc\n"), MAX(V2, "100000 100000\n")}, 1},
    {"version 1", {OWN("4:memory:/m\n3:cpu,cpuacct:/g\n"), CFS(V1 "/g", "50000\n")}, 0.5},
    {"version 1, no limit", {OWN("3:cpu,cpuacct:/g\n"), CFS(V1 "/g", "-1\n")}, 0},
    {"version 1, the root", {OWN("3:cpu,cpuacct:/g\n"), CFS(V1, "400000\n")}, 4},
    {"both", {OWN("3:cpu,cpuacct:/\n0::/\n"), CFS(V1, "400000\n"), MAX(V2, "300000 100000\n")}, 3},
    {"nonsense", {OWN("cpu\n:\n0::\n1:cpu:relative\n"), MAX(V2, "a b\n")}, 0},
    {"no period", {OWN("0::/\n"), MAX(V2, "100000 0\n")}, 0},
};

START_TEST(the_smallest_quota_counts)
{
    const struct machine *machine = &machines[_i];
    struct tmp root;
    tmp_make(&root);
    for (const struct file *file = machine->files; file->name; file++) {
        tmp_mkdir(&root, file->folder);
        tmp_write_text(&root, file->name, file->text);
    }
    ck_assert_msg(processors_quota(root.path) == machine->quota, "%s: %g", machine->what,
                  processors_quota(root.path));
    struct processors ours = processors_ours(root.path);
    ck_assert_uint_ge(ours.whole, 1);
    ck_assert_uint_ge(ours.begun, ours.whole);
    if (machine->quota > 0) ck_assert_uint_le(ours.begun, (size_t)machine->quota + 1);
    if (machine->quota >= 1) ck_assert_uint_le(ours.whole, (size_t)machine->quota);
    tmp_remove(&root);
}
END_TEST

Suite *processors_suite(void)
{
    Suite *suite = suite_create("processors");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, the_smallest_quota_counts, 0, sizeof machines / sizeof *machines);
    suite_add_tcase(suite, core);
    return suite;
}
