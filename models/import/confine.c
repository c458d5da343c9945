#define _GNU_SOURCE /* syscall, O_PATH */
#include "models/import/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_OPEN_FILES = 64, MAX_SECONDS = 3600, PATH_BYTES = 1024, MAX_LINKS = 1000 };

static void limit(void)
{
    const struct rlimit files = {MAX_OPEN_FILES, MAX_OPEN_FILES}, seconds = {MAX_SECONDS, MAX_SECONDS},
                        none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CPU, &seconds);
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* ------------------------------------------------------------------------------------------
 * Files: Landlock (https://docs.kernel.org/userspace-api/landlock.html) */

#ifdef SYS_landlock_create_ruleset
enum { ABI_TRUNCATE = 3 };
#define RIGHT_TRUNCATE ((uint64_t)1 << 14) /* older headers do not name it */

static const uint64_t read_file = LANDLOCK_ACCESS_FS_READ_FILE,
                      read_folder = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
                      write_folder = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                     LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                     LANDLOCK_ACCESS_FS_REMOVE_DIR;

/* Rights beneath a path. A path that is not there has none; the import will say so. */
static void allow(int rules, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights};
    struct stat about;
    beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0) return;
    if (fstat(beneath.parent_fd, &about) == 0 && !S_ISDIR(about.st_mode)) beneath.allowed_access &= read_file;
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(beneath.parent_fd);
}

/* The folder that holds a path. */
static void folder_of(const char *path, char out[PATH_BYTES])
{
    if (snprintf(out, PATH_BYTES, "%s", path) >= PATH_BYTES) *out = '\0';
    for (size_t n = strlen(out); n > 1 && out[n - 1] == '/';) out[--n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) slash[slash == out] = '\0';
    else snprintf(out, PATH_BYTES, ".");
}

/* A folder, and the files that its links lead to: a cache of Hugging Face keeps them elsewhere. */
static void allow_linked(int rules, const char *folder)
{
    char path[2 * PATH_BYTES];
    size_t left = MAX_LINKS;
    allow(rules, folder, read_folder);
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && left && (entry = readdir(list));) {
        if (entry->d_type != DT_LNK) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        struct stat about;
        if (stat(path, &about) == 0 && S_ISREG(about.st_mode)) allow(rules, path, read_file);
        left--;
    }
    if (list) closedir(list);
}

static long version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static void confine_files(const struct options *options)
{
    long abi = version();
    /* All that the first version knows; so what is not allowed below is forbidden. */
    struct landlock_ruleset_attr handled = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | write_folder |
                                                                 LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                                                 LANDLOCK_ACCESS_FS_MAKE_SOCK |
                                                                 LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                                                 LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                                                                 LANDLOCK_ACCESS_FS_MAKE_SYM};
    if (abi >= ABI_TRUNCATE) handled.handled_access_fs |= RIGHT_TRUNCATE;
    int rules = abi < 1 ? -1 : (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (rules < 0) return;
    struct stat about;
    char folder[PATH_BYTES];
    folder_of(options->file, folder); /* weights of ONNX lie beside it */
    bool is_folder = stat(options->file, &about) == 0 && S_ISDIR(about.st_mode);
    allow_linked(rules, is_folder ? options->file : folder);
    const char *const files[] = {options->tokenizer, options->target_tokenizer, options->labels,
                                 options->scaler,    options->network,          options->golden};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!files[i]) continue;
        char path[PATH_BYTES]; /* FILE:NAME names a part of a pickle */
        const char *colon = strrchr(files[i], ':');
        snprintf(path, sizeof path, "%.*s", colon ? (int)(colon - files[i]) : 0, files[i]);
        allow(rules, files[i], read_file);
        if (colon) allow(rules, path, read_file);
    }
    /* How much memory there is, which the loader asks. */
    static const char *const memory[] = {"/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup"};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) allow(rules, memory[i], read_folder);
    folder_of(options->output ? options->output : "bundle", folder);
    if (!options->dry_run) allow(rules, folder, write_folder);
    syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
}
#else
static long version(void)
{
    return -1;
}

static void confine_files(const struct options *options)
{
    (void)options;
}
#endif

/* ------------------------------------------------------------------------------------------
 * System calls: a filter that forbids what no import does */

#if defined __x86_64__
#define MACHINE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define MACHINE AUDIT_ARCH_AARCH64
#elif defined __riscv
#define MACHINE AUDIT_ARCH_RISCV64
#endif

#ifdef MACHINE
/* Answers EPERM to this call. */
#define FORBID(call)                                                                                         \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, forbidden)
#define PLACE(member) (unsigned)offsetof(struct seccomp_data, member)

static void confine_calls(void)
{
    enum { X32 = 0x40000000 }; /* the second set of calls that x86-64 has */
    const unsigned forbidden = SECCOMP_RET_ERRNO | EPERM, missing = SECCOMP_RET_ERRNO | ENOSYS;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PLACE(arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PLACE(nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, forbidden),
        /* Programs and the network. */
        FORBID(execve), FORBID(execveat), FORBID(socket), FORBID(socketpair), FORBID(connect), FORBID(bind),
        FORBID(sendto), FORBID(sendmsg), FORBID(sendmmsg), FORBID(io_uring_setup),
        /* Other processes, and the machine. */
        FORBID(ptrace), FORBID(process_vm_readv), FORBID(process_vm_writev), FORBID(kill), FORBID(pidfd_open),
        FORBID(bpf), FORBID(perf_event_open), FORBID(userfaultfd), FORBID(keyctl), FORBID(add_key),
        FORBID(request_key), FORBID(mount), FORBID(unshare), FORBID(setns), FORBID(memfd_create),
#ifdef SYS_fork
        FORBID(fork), FORBID(vfork),
#endif
        /* Threads may begin, processes may not. What clone3 asks for lies in memory, so libc must use clone:
           it does if clone3 is missing. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, missing),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PLACE(args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, forbidden),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
#else
static void confine_calls(void) {}
#endif

void confine(const struct options *options)
{
    limit();
#ifndef CAROUSEL_INSTRUMENTED /* sanitizers and counters of coverage read and write files of their own */
    confine_files(options);
    confine_calls();
#else
    (void)options, (void)confine_files, (void)confine_calls;
#endif
}

bool confine_has_landlock(void)
{
    return version() >= 1;
}
