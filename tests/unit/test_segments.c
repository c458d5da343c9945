/* segments: where sentences end, and where they do not. */
#include <check.h>
#include <string.h>

#include "models/tokenizers/segments.h"

Suite *segments_suite(void);

enum { MAX_SENTENCES = 8 };

static const struct {
    const char *text, *sentences[MAX_SENTENCES];
} rows[] = {
    {"", {NULL}},
    {" \n\t ", {NULL}},
    {"No stop at all", {"No stop at all"}},
    {"  One.  Two! Three?  ", {"One.", "Two!", "Three?"}},
    {"Wait... and see. What?! Yes.", {"Wait... and see.", "What?!", "Yes."}},
    {"Mr. Smith of St. Ives met Dr. J. R. Jones, i.e. me. I. So I left.",
     {"Mr. Smith of St. Ives met Dr. J. R. Jones, i.e. me.", "I.", "So I left."}},
    {"It costs 3.50 dollars. See www.example.org now. 7 do.",
     {"It costs 3.50 dollars.", "See www.example.org now.", "7 do."}},
    {"He said: \"Hello.\" Then (it rained!) he left.", {"He said: \"Hello.\"", "Then (it rained!) he left."}},
    {"\xc2\xab O\xc3\xb9 ? \xc2\xbb dit-il. \xc2\xab L\xc3\xa0\xc2\xa0! \xc2\xbb Oui\xe2\x80\xaf! Non.",
     {"\xc2\xab O\xc3\xb9 ? \xc2\xbb dit-il.", "\xc2\xab L\xc3\xa0\xc2\xa0! \xc2\xbb",
      "Oui\xe2\x80\xaf!", "Non."}},
    {"Il vient. \xc3\x89mile aussi. \xc3\xa9mile non.",
     {"Il vient.", "\xc3\x89mile aussi. \xc3\xa9mile non."}},
    {"A line\nanother one\r\n\r\n and a last", {"A line", "another one", "and a last"}},
    {"\xe4\xbb\x8a\xe6\x97\xa5\xe3\x80\x82\xe5\x85\x83\xe6\xb0\x97\xef\xbc\x9f\xe3\x81\xaf\xe3\x81\x84",
     {"\xe4\xbb\x8a\xe6\x97\xa5\xe3\x80\x82", "\xe5\x85\x83\xe6\xb0\x97\xef\xbc\x9f",
      "\xe3\x81\xaf\xe3\x81\x84"}},
    {"... ... ...", {"...", "...", "..."}},
};

START_TEST(sentences_end_where_they_should)
{
    const char *text = rows[_i].text;
    struct text_span sentence;
    size_t at = 0, n = 0, before = 0;
    while (segments_next(text, strlen(text), &at, &sentence)) {
        ck_assert_uint_lt(n, MAX_SENTENCES);
        ck_assert_msg(rows[_i].sentences[n] != NULL, "one too many: %s", text + sentence.start);
        ck_assert_uint_ge(sentence.start, before);
        ck_assert_uint_eq(sentence.end - sentence.start, strlen(rows[_i].sentences[n]));
        ck_assert_mem_eq(text + sentence.start, rows[_i].sentences[n], sentence.end - sentence.start);
        before = sentence.end;
        n++;
    }
    ck_assert(n == MAX_SENTENCES || !rows[_i].sentences[n]);
}
END_TEST

Suite *segments_suite(void)
{
    Suite *suite = suite_create("segments");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, sentences_end_where_they_should, 0, sizeof rows / sizeof *rows);
    suite_add_tcase(suite, core);
    return suite;
}
