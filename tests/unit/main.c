/* Runs the suites of one tier (unit, golden or http): all of them, or those that the environment
 * variable SUITE names, with spaces between. The Makefile writes suites.def from the names of the test_*.c
 * files, so that a suite cannot be forgotten. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(name) Suite *name##_suite(void);
#include "suites.def"
#undef X

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
#define X(name) {#name, name##_suite},
#include "suites.def"
#undef X
};

static bool is_wanted(const char *name)
{
    const char *wanted = getenv("SUITE");
    if (wanted == NULL || *wanted == '\0')
        return true;
    size_t n = strlen(name);
    for (const char *at = strstr(wanted, name); at != NULL; at = strstr(at + 1, name))
        if ((at == wanted || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

int main(void)
{
    SRunner *runner = srunner_create(NULL);
    size_t n = 0;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (is_wanted(suites[i].name)) {
            srunner_add_suite(runner, suites[i].make());
            n++;
        }
    if (n == 0) {
        fprintf(stderr, "no suite is called '%s'\n", getenv("SUITE"));
        return EXIT_FAILURE;
    }
    srunner_run_all(runner, CK_ENV); /* CK_VERBOSITY, by default normal */
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
