/* The bundled models over HTTP, asked what people try first. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "client.h"

static struct server server;

static void start(void)
{
    static const char bundles[] =
        "CAROUSEL_MODELS_BUNDLES=numbers=zoo/numbers:sentiment=zoo/sentiment:g2p=zoo/g2p:"
        "splice=zoo/splice:slots=zoo/slots:chorales=zoo/chorales:folk=zoo/folk:ink=zoo/ink:babi=zoo/babi:"
        "story=zoo/story:eng-fra=zoo/eng-fra:fra-eng=zoo/fra-eng:series-xlstm=zoo/series-xlstm";
    server_start(&server, (const char *const[]){bundles, NULL});
}

static void stop(void)
{
    if (server_stop(&server) != 0)
        abort(); /* check does not count failures of an unchecked teardown */
}

/* The first terms of a sequence, and what follows. */
static const struct {
    const char *terms;
    double due[3];
} sequences[] = {
    {"5", {5, 5, 5}},
    {"4,4", {4, 4, 4}},
    {"6,7,8", {9, 10, 11}},
    {"2,4,8", {16, 32, 64}},
    {"0.1,0.2,0.3", {0.4, 0.5, 0.6}},
    {"4,4", {4, 4, 4}},
    {"4", {4, 4, 4}},
    {"1,3,7,15", {31, 63, 127}},
    {"1,8,27,64,125", {216, 343, 512}},
    {"1,10,2,20,3,30", {4, 40, 5}},
    {"1,-2,3,-4", {5, -6, 7}},
    {"1,2,3,4,5,6,7,1,2", {3, 4, 5}},
    {"1,1,2,3,5", {8, 13, 21}},
    {"1000000001,1000000002,1000000003", {1000000004, 1000000005, 1000000006}},
};

START_TEST(a_sequence_goes_on_exactly)
{
    char body[200], path[40];
    snprintf(body, sizeof body, "{'model':'numbers','series':[%s],'horizon':3,'quantiles':[0.1]}",
             sequences[_i].terms);
    struct reply *reply = post(&server, "/v1/forecast", body);
    expect_ok(reply);
    for (int t = 0; t < 3; t++) {
        snprintf(path, sizeof path, "forecasts.0.mean.%d", t);
        double due = sequences[_i].due[t];
        ck_assert_double_eq_tol(number_at(reply, path), due, 1e-14 * fabs(due));
    }
}
END_TEST

START_TEST(a_hole_leaves_a_sequence_to_the_network)
{
    struct reply *reply =
        post(&server, "/v1/forecast", "{'model':'numbers','series':[1,null,3],'horizon':1}");
    expect_ok(reply);
    (void)number_at(reply, "forecasts.0.mean.0");
}
END_TEST

/* Terms with noise, and terms of no rule here: the answer lies in a band, neither empty nor endless. */
static const struct {
    const char *terms;
    double low, high;
} uncertain[] = {
    {"1.1,1.9,3.2,3.9,5.1", 5, 7}, {"2,3,5,7,11", 11, 17}, {"20.1,19.9,20.2,19.8,20,20.1", 19, 21},
    {"3,1,4,1,5,9,2,6,5,3,5,8", 0, 12},
};

/* The first value at a level, whose name holds a dot. */
static double quantile(const struct reply *reply, const char *name)
{
    const char *at = strstr(reply->body, name);
    ck_assert_ptr_nonnull(at);
    return strtod(at + strlen(name), NULL);
}

START_TEST(a_sequence_without_a_rule_has_a_spread)
{
    struct reply *reply = postf(&server, "/v1/forecast",
                                "{'model':'numbers','series':[%s],'horizon':1,'quantiles':[0.1,0.9]}",
                                uncertain[_i].terms);
    expect_ok(reply);
    double mean = number_at(reply, "forecasts.0.mean.0");
    double low = quantile(reply, "\"0.1\":["), high = quantile(reply, "\"0.9\":[");
    ck_assert_double_gt(mean, uncertain[_i].low);
    ck_assert_double_lt(mean, uncertain[_i].high);
    ck_assert(low < mean && mean < high);
    ck_assert_double_lt(high - low, 2 * (uncertain[_i].high - uncertain[_i].low));
}
END_TEST

/* A wave of four values, one of them missing, goes on within its intervals. */
START_TEST(an_xlstm_finds_the_season)
{
    struct reply *reply = post(&server, "/v1/forecast",
                               "{'model':'series-xlstm','horizon':4,'quantiles':[0.1,0.9],'series':["
                               "10,20,30,20,10,20,30,20,10,20,null,20,10,20,30,20,10,20,30,20,10,20,30,20]}");
    static const double wave[] = {10, 20, 30, 20};
    expect_ok(reply);
    for (size_t i = 0; i < 4; i++) {
        char place[40];
        snprintf(place, sizeof place, "forecasts.0.mean.%zu", i);
        ck_assert_double_eq_tol(number_at(reply, place), wave[i], 1);
    }
    ck_assert_double_lt(quantile(reply, "\"0.1\":["), 10);
    ck_assert_double_gt(quantile(reply, "\"0.9\":["), 10);
}
END_TEST

static const struct {
    const char *text, *label;
} sentences[] = {
    {"I just saw this film and I recommend it", "positive"},
    {"not a bad watch", "positive"},
    {"I loved every minute of it.", "positive"},
    {"My kids and I had a great time.", "positive"},
    {"One of the best movies I've seen this year!", "positive"},
    {"You should go and see it, it is wonderful.", "positive"},
    {"I laughed and I cried.", "positive"},
    {"The acting was superb and the story kept me awake all night.", "positive"},
    {"I can't wait to watch it again.", "positive"},
    {"Better than I expected.", "positive"},
    {"I want my money back.", "negative"},
    {"I fell asleep after twenty minutes.", "negative"},
    {"It was not good.", "negative"},
    {"What a waste of time.", "negative"},
    {"I would not recommend this to anyone.", "negative"},
    {"The plot makes no sense and the acting is terrible.", "negative"},
    {"We walked out halfway through.", "negative"},
    {"The worst movie I have ever seen.", "negative"},
    {"Boring, boring, boring.", "negative"},
    {"I was really disappointed.", "negative"},
};

START_TEST(everyday_praise_and_blame_are_told_apart)
{
    char body[300];
    snprintf(body, sizeof body, "{\"model\":\"sentiment\",\"input\":\"%s\",\"top_k\":1}", sentences[_i].text);
    struct reply *reply = ask(&server, "POST", "/v1/classify", body);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "results.0.0.label"), sentences[_i].label);
}
END_TEST

/* Words of the dictionary, with letters that are silent, and which letter each phoneme comes from. */
START_TEST(words_are_pronounced)
{
    struct reply *reply = post(&server, "/v1/pronounce",
                               "{'input':['Knight','thought','caf\xc3\xa9'],'alignment':true}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "pronunciations.0.phonemes"), "N AY1 T");
    ck_assert_str_eq(text_at(reply, "pronunciations.1.phonemes"), "TH AO1 T");
    ck_assert_int_eq(length_at(reply, "pronunciations.0.alignment"), 3);
    ck_assert_str_eq(text_at(reply, "pronunciations.0.alignment.0.phoneme"), "N");
    ck_assert_double_eq(number_at(reply, "pronunciations.0.alignment.0.start"), 1); /* the k is silent */
    ck_assert_double_eq(number_at(reply, "pronunciations.0.alignment.2.end"), 6);
    reply = post(&server, "/v1/pronounce", "{'input':'carousels','alphabet':'ipa','stress':false}");
    expect_ok(reply);
    expect_error(post(&server, "/v1/pronounce", "{'input':'se\xc3\xb1or 7'}"), 400, "invalid_value", "input");
}
END_TEST

/* Sentences that were not trained on. */
static const struct { const char *model, *source, *target; } sentences_abroad[] = {
    {"eng-fra", "I have a solution.", "J'ai une solution."},
    {"eng-fra", "Do you have a better idea?", "Avez-vous une meilleure id\xc3\xa9""e ?"},
    {"eng-fra", "hello", "Bonjour"},
    {"eng-fra", "Thank you.", "Merci."},
    {"fra-eng", "J'irai.", "I'll go."},
    {"fra-eng", "Bonjour.", "Hello."},
    {"fra-eng", "Oui.", "Yes."},
    {"fra-eng", "Y a-t-il un vol dans l'apr\xc3\xa8s-midi ?", "Is there a flight in the afternoon?"},
};

START_TEST(sentences_are_translated)
{
    char body[300];
    snprintf(body, sizeof body, "{\"model\":\"%s\",\"input\":\"%s\"}", sentences_abroad[_i].model,
             sentences_abroad[_i].source);
    struct reply *reply = ask(&server, "POST", "/v1/translate", body);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "translations.0.text"), sentences_abroad[_i].target);
}
END_TEST

START_TEST(a_letter_is_read_from_its_strokes)
{
    struct reply *reply = post(&server, "/v1/transcribe",
                               "{'model':'ink',"
                               "'strokes':[[[0,0],[0,40]],[[0,20],[25,20]],[[25,0],[25,40]]]}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "text"), "H");
}
END_TEST

/* God Save the King: the melody is the highest voice of each step, three voices lie below it, and most steps
 * hold a triad. */
START_TEST(a_melody_is_harmonised)
{
    static const int melody[] = {67, 67, 69, 66, 67, 69, 71, 71, 72, 71, 69, 67, 69, 67, 66, 67};
    enum { STEPS = sizeof melody / sizeof *melody };
    struct reply *reply = post(&server, "/v1/music",
                               "{'model':'chorales','key':'G','seed':1,'temperature':0.5,"
                               "'melody':[67,67,69,66,67,69,71,71,72,71,69,67,69,67,66,67]}");
    bool sounds[STEPS][12] = {{false}};
    int n_notes = 0, good = 0;
    expect_ok(reply);
    for (cJSON *note = reply_at(reply, "notes")->child; note; note = note->next, n_notes++) {
        int pitch = cJSON_GetObjectItem(note, "pitch")->valueint;
        int at = (int)cJSON_GetObjectItem(note, "start")->valuedouble;
        ck_assert(at >= 0 && at < STEPS);
        if (cJSON_GetObjectItem(note, "voice")->valueint == 0) ck_assert_int_eq(pitch, melody[at]);
        else ck_assert_int_le(pitch, melody[at]);
        sounds[at][pitch % 12] = true;
    }
    ck_assert_int_eq(n_notes, 4 * STEPS);
    for (int at = 0; at < STEPS; at++)
        for (int root = 0; root < 12; root++) {
            bool third = sounds[at][(root + 4) % 12] || sounds[at][(root + 3) % 12];
            good += sounds[at][root] && third && sounds[at][(root + 7) % 12];
        }
    ck_assert_int_ge(good, STEPS / 2);
}
END_TEST

/* Eight tunes: most have two parts of 4, 8 or 16 bars, each played twice. */
START_TEST(tunes_have_the_form_of_dances)
{
    int good = 0;
    for (int seed = 0; seed < 8; seed++) {
        struct reply *reply = postf(&server, "/v1/music",
                                    "{'model':'folk','metre':'6/8','key':'G','seed':%d}", seed);
        expect_ok(reply);
        ck_assert_str_eq(text_at(reply, "finish_reason"), "stop");
        int n_parts = length_at(reply, "parts"), n_even = 0;
        for (int i = 0; i < n_parts; i++) {
            cJSON *part = cJSON_GetArrayItem(reply_at(reply, "parts"), i);
            double beats = json_at(part, "end")->valuedouble - json_at(part, "start")->valuedouble;
            bool is_even = beats == 4 * 3 || beats == 8 * 3 || beats == 16 * 3;
            n_even += is_even && cJSON_IsTrue(json_at(part, "repeated"));
        }
        good += n_parts == 2 && n_even == 2;
    }
    ck_assert_int_ge(good, 5);
}
END_TEST

/* Stories as bAbI tells them: where persons and things are, and which sentences say so. */
static const struct {
    const char *context, *question, *answer;
    int n, supporting[2];
} stories[] = {
    {"Mary moved to the bathroom. John went to the hallway. Mary travelled to the office.", "Where is Mary?",
     "office", 1, {2}},
    {"John went to the garden. Mary went to the kitchen.", "Is John in the garden?", "yes", 1, {0}},
    {"John went to the garden. Mary went to the kitchen.", "is mary in the office ?", "no", 1, {1}},
    {"Mary took the football. John went to the office. Mary went to the garden.", "Where is the football?",
     "garden", 2, {0, 2}},
    {"Sandra went to the kitchen. Sandra got the milk there. Sandra moved to the bedroom. "
     "Sandra put down the milk. Sandra journeyed to the hallway.",
     "Where is the milk?", "bedroom", 2, {2, 3}},
    {"John went to the garden. Mary got the apple there. Mary moved to the office.",
     "Where is the milk?", NULL, 0, {0}}, /* the story does not tell */
};

START_TEST(questions_about_stories_are_answered)
{
    struct reply *reply = postf(&server, "/v1/answer", "{'model':'babi','context':'%s','question':'%s'}",
                                stories[_i].context, stories[_i].question);
    expect_ok(reply);
    if (stories[_i].answer) {
        ck_assert_str_eq(text_at(reply, "answers.0.answer"), stories[_i].answer);
        ck_assert_double_gt(number_at(reply, "answers.0.score"), 0.8);
    }
    ck_assert_int_eq(length_at(reply, "answers.0.supporting"), stories[_i].n);
    for (int k = 0; k < stories[_i].n; k++) {
        char path[64];
        snprintf(path, sizeof path, "answers.0.supporting.%d", k);
        ck_assert_double_eq(number_at(reply, path), stories[_i].supporting[k]);
    }
}
END_TEST

/* Who grew up where, what was told then, and the index of the language among the choices below. */
static const struct {
    const char *text;
    int language;
} memories[] = {
    {"I grew up in France. The summers were long and the sea was warm. I speak fluent", 0},
    {"Anna lived in Japan for twenty years. It rained every day in June. She still dreams in", 1},
    {"Tom went to school in Poland. The teacher was strict, but the children liked him. He had a dog and two "
     "cats. Every morning he walked along the river, and he never came too late. His mother tongue is", 2},
    {"Long ago we left Greece. There was not enough work. At home we speak only", 3},
};

START_TEST(a_country_is_remembered)
{
    struct reply *reply = postf(
        &server, "/v1/score",
        "{'model':'story','input':'%s','choices':['French','Japanese','Polish','Greek','German','Spanish',"
        "'Russian','Turkish','Mandarin','Arabic']}", memories[_i].text);
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "results.0.0.choice"), memories[_i].language);
}
END_TEST

START_TEST(a_word_of_no_story_is_refused)
{
    expect_error(post(&server, "/v1/answer", "{'model':'babi','context':'Mary went home.','question':"
                      "'Where is Mary?'}"), 400, "invalid_value", "context");
}
END_TEST

/* Windows of the data set; the last has small letters, and letters that mean one of several bases. */
static const struct {
    const char *bases, *label;
} windows[] = {
    {"CCAGCTGCATCACAGGAGGCCAGCGAGCAGGTCTGTTCCAAGGGCCTTCGAGCCAGTCTG", "EI"},
    {"CATCTTTGTTGTCTCTTTCCATCTCAACAGCTCCTGGGAAATGTGCTGGTGACCGTTTTG", "IE"},
    {"CACCTGCCATGTGCAGCATGAGGGTCTGCCCAAGCCCCTCACCCTGAGATGGGAGCCGTC", "N"},
    {"ccagctgcatcacaggaggccagcgagcaggtctgttccaagggccttnnnnnnrykgtg", "EI"},
};

START_TEST(splice_junctions_are_found)
{
    struct reply *reply = postf(&server, "/v1/classify", "{'model':'splice','input':'%s','top_k':1}",
                                windows[_i].bases);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "results.0.0.label"), windows[_i].label);
    ck_assert_double_gt(number_at(reply, "results.0.0.score"), 0.8);
}
END_TEST

START_TEST(a_letter_that_is_no_base_is_refused)
{
    expect_error(post(&server, "/v1/classify", "{'model':'splice','input':'ACGZ'}"), 400, "invalid_value",
                 "input");
}
END_TEST

/* Requests, two of them with words that the vocabulary has not and one without capitals. */
static const struct {
    const char *text, *intent, *entities[6]; /* kind, value, ... */
} wishes[] = {
    {"add Xylophonia to my Late Night Jazz playlist", "AddToPlaylist",
     {"entity_name", "Xylophonia", "playlist_owner", "my", "playlist", "Late Night Jazz"}},
    {"Will it rain in Lisbon tomorrow?", "GetWeather",
     {"condition_description", "rain", "city", "Lisbon", "timeRange", "tomorrow"}},
    {"rate The Left Hand of Darkness five out of 6", "RateBook",
     {"object_name", "The Left Hand of Darkness", "rating_value", "five", "best_rating", "6"}},
    {"add blue in green to my late night jazz playlist", "AddToPlaylist",
     {"entity_name", "blue in green", "playlist_owner", "my", "playlist", "late night jazz"}},
};

START_TEST(a_wish_has_an_intent_and_entities)
{
    struct reply *reply = postf(&server, "/v1/classify", "{'model':'slots','input':'%s'}",
                                wishes[_i].text);
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "results.0.intent.label"), wishes[_i].intent);
    ck_assert_int_eq(length_at(reply, "results.0.entities"), 3);
    for (int i = 0; i < 3; i++) {
        char path[40];
        snprintf(path, sizeof path, "results.0.entities.%d.label", i);
        ck_assert_str_eq(text_at(reply, path), wishes[_i].entities[2 * i]);
        snprintf(path, sizeof path, "results.0.entities.%d.value", i);
        ck_assert_str_eq(text_at(reply, path), wishes[_i].entities[2 * i + 1]);
    }
}
END_TEST

Suite *zoo_suite(void);

Suite *zoo_suite(void)
{
    Suite *suite = suite_create("zoo");
    TCase *cases = tcase_create("zoo");
    tcase_add_unchecked_fixture(cases, start, stop);
    tcase_set_timeout(cases, TEST_TIMEOUT_S);
    tcase_add_loop_test(cases, a_sequence_goes_on_exactly, 0, (int)(sizeof sequences / sizeof *sequences));
    tcase_add_test(cases, a_hole_leaves_a_sequence_to_the_network);
    tcase_add_loop_test(cases, a_sequence_without_a_rule_has_a_spread, 0,
                        (int)(sizeof uncertain / sizeof *uncertain));
    tcase_add_test(cases, an_xlstm_finds_the_season);
    tcase_add_loop_test(cases, everyday_praise_and_blame_are_told_apart, 0,
                        (int)(sizeof sentences / sizeof *sentences));
    tcase_add_test(cases, words_are_pronounced);
    tcase_add_loop_test(cases, sentences_are_translated, 0,
                        (int)(sizeof sentences_abroad / sizeof *sentences_abroad));
    tcase_add_test(cases, a_melody_is_harmonised);
    tcase_add_test(cases, tunes_have_the_form_of_dances);
    tcase_add_test(cases, a_letter_is_read_from_its_strokes);
    tcase_add_loop_test(cases, a_wish_has_an_intent_and_entities, 0, (int)(sizeof wishes / sizeof *wishes));
    tcase_add_loop_test(cases, questions_about_stories_are_answered, 0, 6);
    tcase_add_loop_test(cases, a_country_is_remembered, 0, (int)(sizeof memories / sizeof *memories));
    tcase_add_test(cases, a_word_of_no_story_is_refused);
    tcase_add_loop_test(cases, splice_junctions_are_found, 0, (int)(sizeof windows / sizeof *windows));
    tcase_add_test(cases, a_letter_that_is_no_base_is_refused);
    suite_add_tcase(suite, cases);
    return suite;
}
