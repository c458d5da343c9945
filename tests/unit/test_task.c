/* The table of tasks: every row is whole, and no two rows claim the same name or the same section twice. */
#include <check.h>
#include <string.h>

#include "models/bundle/bundle.h"

START_TEST(each_row_is_whole)
{
    const struct task *task = task_of((enum task_id)_i);
    ck_assert_ptr_nonnull(task->name);
    ck_assert_uint_ne(task->abilities, 0);
    ck_assert_uint_lt(task->abilities, 1u << N_ABILITIES);
    ck_assert_ptr_nonnull(task->sections[0].section);
    ck_assert(task->check && task->steps);
    for (int i = 0; i < _i; i++) ck_assert_str_ne(task->name, task_of((enum task_id)i)->name);
}
END_TEST

START_TEST(each_ability_has_a_task)
{
    size_t n = 0;
    for (int i = 0; i < N_TASKS; i++) n += task_can(task_of((enum task_id)i), (enum ability)_i);
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_gt(strlen(ability_text((enum ability)_i)), 0);
}
END_TEST

START_TEST(sections_of_all_tasks_are_listed_once)
{
    const struct section *sections[64];
    size_t n = task_sections(sections, 64), n_text = 0;
    for (size_t i = 0; i < n; i++) {
        ck_assert(sections[i]->read);
        for (size_t j = 0; j < i; j++) ck_assert_str_ne(sections[i]->name, sections[j]->name);
        n_text += sections[i] == &section_tokenizer;
    }
    ck_assert_uint_eq(n_text, 1);
    ck_assert(task_reads(&task_text_generation, &section_tokenizer));
    ck_assert(!task_reads(&task_text_generation, &section_labels));
}
END_TEST

Suite *task_suite(void);

Suite *task_suite(void)
{
    Suite *suite = suite_create("task");
    TCase *cases = tcase_create("task");
    tcase_add_loop_test(cases, each_row_is_whole, 0, N_TASKS);
    tcase_add_loop_test(cases, each_ability_has_a_task, 0, N_ABILITIES);
    tcase_add_test(cases, sections_of_all_tasks_are_listed_once);
    suite_add_tcase(suite, cases);
    return suite;
}
