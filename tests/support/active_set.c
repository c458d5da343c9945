#include "tests/support/active_set.h"

#include <check.h>

#include "core/kernels/kernels.h"

static const char *before;

void active_set_remember(void)
{
    before = kernels_active()->name;
}

void active_set_restore(void)
{
    ck_assert_int_eq(kernels_select(before, NULL), STATUS_OK);
}
