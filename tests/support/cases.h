/* cases: the requests of tests/http/smuggling.txt, which says what is in it. */
#ifndef CAROUSEL_TESTS_SUPPORT_CASES_H
#define CAROUSEL_TESTS_SUPPORT_CASES_H

#include <stddef.h>

struct wire_case {
    char name[80];
    int status;
    char *bytes; /* [n] */
    size_t n;
};

/* Read them all; a line that is not as it should be fails the test. cases_free takes them. */
struct wire_case *cases_read(size_t *n);
void cases_free(struct wire_case *cases, size_t n);

#endif
