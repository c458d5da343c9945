/* The texts with their places, in our shape, in OpenAI's, and as subtitles. */
#include "server/media/transcribe_answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/tasks/transcription.h"
#include "server/api/answer.h"
#include "server/request/server.h"

/* A subtitle ends at a pause of so many seconds, or when it has lasted so long. */
static const double PAUSE_S = 0.8, CUE_S = 6;

/* ---- texts ---------------------------------------------------------------------------------- */

/* Labels [from, to) of a text. */
struct run {
    size_t from, to;
};

static const char *label_text(const struct transcribe *task, const struct ctc_text *text, size_t i)
{
    return task->model->labels[text->labels[i]];
}

/* The labels of a run, one after the other, zero-terminated; the caller frees it. NULL: no memory. */
static char *write_run(const struct transcribe *task, const struct ctc_text *text, struct run run)
{
    size_t bytes = 1, n = 0;
    for (size_t i = run.from; i < run.to; i++) bytes += strlen(label_text(task, text, i));
    char *out = malloc(bytes);
    for (size_t i = run.from; out && i < run.to; i++) {
        const char *label = label_text(task, text, i);
        memcpy(out + n, label, strlen(label));
        n += strlen(label);
    }
    if (out) out[n] = '\0';
    return out;
}

/* The next word at or behind label *at. */
static bool next_word(const struct transcribe *task, const struct ctc_text *text, size_t *at, struct run *out)
{
    bool one = transcription_spec_of(task->model)->label_is_word;
    while (!one && *at < text->n && !strcmp(label_text(task, text, *at), " ")) ++*at;
    if (*at >= text->n) return false;
    for (out->from = (*at)++; !one && *at < text->n && strcmp(label_text(task, text, *at), " ");) ++*at;
    out->to = *at;
    return true;
}

/* Where a step begins in the input. */
static size_t place_of(const struct transcribe *task, size_t step)
{
    return task->heard->all_places ? (size_t)task->heard->all_places[step] : step;
}

/* Where a run begins and ends in the input: in seconds of sound, else in points or steps. */
static double begin_of(const struct transcribe *task, const struct ctc_text *text, struct run run)
{
    size_t at = place_of(task, text->first[run.from]);
    return task->rate > 0 ? (double)at / task->rate : (double)at;
}

static double end_of(const struct transcribe *task, const struct ctc_text *text, struct run run)
{
    size_t at = place_of(task, text->last[run.to - 1] + 1);
    if (task->rate > 0) return (double)at / task->rate;
    return fmax((double)at, begin_of(task, text, run) + 1); /* a letter may lie between two points */
}

/* The next subtitle: words without a long pause between. */
static bool next_cue(const struct transcribe *task, const struct ctc_text *text, size_t *at, struct run *out)
{
    struct run word;
    size_t ahead = *at;
    if (!next_word(task, text, &ahead, out)) return false;
    *at = ahead;
    while (next_word(task, text, &ahead, &word)) {
        struct run whole = {out->from, word.to};
        bool pauses = begin_of(task, text, word) - end_of(task, text, *out) > PAUSE_S;
        if (pauses || end_of(task, text, whole) - begin_of(task, text, whole) > CUE_S) break;
        *out = whole;
        *at = ahead;
    }
    return true;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void put_run(struct writer *out, const struct transcribe *task, const struct ctc_text *text,
                    const char *name, struct run run)
{
    char *written = write_run(task, text, run);
    if (written) put_named_string(out, name, written);
    else writer_fail(out);
    free(written);
}

static void put_span(struct writer *out, const struct transcribe *task, const struct ctc_text *text,
                     struct run run)
{
    put_named_rounded(out, "start", begin_of(task, text, run));
    put_named_rounded(out, "end", end_of(task, text, run));
}

static void put_score(struct writer *out, double score)
{
    put_name(out, "score");
    put_double(out, score);
}

/* Our own shape: each letter with its place, and the other texts. */
static void print_ours(const struct transcribe *task, const struct ctc_texts *texts, struct request *request,
                       struct reply *reply)
{
    const struct ctc_text *best = &texts->texts[0];
    const struct usage usage = {"steps_in", request->record.steps_in};
    struct writer out;
    answer_open(&out, request, "trans-", "transcription", task->model);
    put_run(&out, task, best, "text", (struct run){0, best->n});
    put_score(&out, best->score);
    put_name(&out, "segments");
    put_open(&out, '[');
    for (size_t i = 0; i < best->n; i++) {
        put_open(&out, '{');
        put_run(&out, task, best, "text", (struct run){i, i + 1});
        put_span(&out, task, best, (struct run){i, i + 1});
        put_close(&out, '}');
    }
    put_close(&out, ']');
    put_name(&out, "alternatives");
    put_open(&out, '[');
    for (size_t k = 1; k < texts->n; k++) {
        put_open(&out, '{');
        put_run(&out, task, &texts->texts[k], "text", (struct run){0, texts->texts[k].n});
        put_score(&out, texts->texts[k].score);
        put_close(&out, '}');
    }
    put_close(&out, ']');
    answer_close(&out, &usage, 1, &task->work, reply);
}

static void put_segments(struct writer *out, const struct transcribe *task, const struct ctc_text *text)
{
    struct run run;
    int64_t id = 0;
    put_name(out, "segments");
    put_open(out, '[');
    for (size_t at = 0; next_cue(task, text, &at, &run);) {
        put_open(out, '{');
        put_named_integer(out, "id", id++);
        put_named_integer(out, "seek", 0);
        put_span(out, task, text, run);
        put_run(out, task, text, "text", run);
        put_name(out, "tokens");
        put_open(out, '[');
        for (size_t i = run.from; i < run.to; i++) put_integer(out, text->labels[i]);
        put_close(out, ']');
        put_named_integer(out, "temperature", 0);
        put_name(out, "avg_logprob");
        put_double(out, text->score / (double)text->n);
        put_close(out, '}');
    }
    put_close(out, ']');
}

static void print_json(const struct transcribe *task, const struct ctc_text *text,
                       const struct request *request, struct reply *reply)
{
    struct writer out;
    struct run run;
    const char *language = transcription_spec_of(task->model)->language;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    if (task->format == FORMAT_VERBOSE_JSON) {
        put_named_string(&out, "task", "transcribe");
        put_named_string(&out, "language", *language ? language : "und");
        put_named_rounded(&out, "duration", task->seconds);
    }
    put_run(&out, task, text, "text", (struct run){0, text->n});
    if (task->format == FORMAT_VERBOSE_JSON && task->words) {
        put_name(&out, "words");
        put_open(&out, '[');
        for (size_t at = 0; next_word(task, text, &at, &run);) {
            put_open(&out, '{');
            put_run(&out, task, text, "word", run);
            put_span(&out, task, text, run);
            put_close(&out, '}');
        }
        put_close(&out, ']');
    }
    if (task->format == FORMAT_VERBOSE_JSON && task->segments) put_segments(&out, task, text);
    put_name(&out, "usage");
    put_open(&out, '{');
    put_named_string(&out, "type", "duration");
    put_named_rounded(&out, "seconds", task->seconds);
    put_close(&out, '}');
    put_close(&out, '}');
    answer_writer(&out, reply);
}

/* "00:00:01,500" or "00:00:01.500". */
static void put_time(struct writer *out, double seconds, char point)
{
    char text[48];
    long ms = lround(seconds * 1000);
    int n = snprintf(text, sizeof text, "%02ld:%02ld:%02ld%c%03ld", ms / 3600000, ms / 60000 % 60,
                     ms / 1000 % 60, point, ms % 1000);
    put_raw(out, text, (size_t)n);
}

static void print_subtitles(const struct transcribe *task, const struct ctc_text *text,
                            const struct request *request, struct reply *reply)
{
    struct writer out;
    struct run run;
    char number[24];
    size_t k = 0;
    bool is_srt = task->format == FORMAT_SRT;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    if (!is_srt) put_raw(&out, "WEBVTT\n\n", 8);
    for (size_t at = 0; next_cue(task, text, &at, &run);) {
        char *written = write_run(task, text, run);
        if (!written) writer_fail(&out);
        if (is_srt) put_raw(&out, number, (size_t)snprintf(number, sizeof number, "%zu\n", ++k));
        put_time(&out, begin_of(task, text, run), is_srt ? ',' : '.');
        put_raw(&out, " --> ", 5);
        put_time(&out, end_of(task, text, run), is_srt ? ',' : '.');
        put_raw(&out, "\n", 1);
        if (written) put_raw(&out, written, strlen(written));
        put_raw(&out, "\n\n", 2);
        free(written);
    }
    answer_writer(&out, reply);
    reply->content_type = is_srt ? "application/x-subrip; charset=utf-8" : "text/vtt; charset=utf-8";
}

static void print_text(const struct transcribe *task, const struct ctc_text *text,
                       const struct request *request, struct reply *reply)
{
    struct writer out;
    char *written = write_run(task, text, (struct run){0, text->n});
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    if (written) put_raw(&out, written, strlen(written));
    else writer_fail(&out);
    put_raw(&out, "\n", 1);
    free(written);
    answer_writer(&out, reply);
    reply->content_type = "text/plain; charset=utf-8";
}

void transcribe_print(const struct transcribe *task, const struct ctc_texts *texts, struct request *request,
                      struct reply *reply)
{
    const struct ctc_text *best = &texts->texts[0];
    request->record.steps_out = best->n;
    if (task->format == FORMAT_OURS) print_ours(task, texts, request, reply);
    else if (task->format == FORMAT_TEXT) print_text(task, best, request, reply);
    else if (task->format == FORMAT_SRT || task->format == FORMAT_VTT)
        print_subtitles(task, best, request, reply);
    else print_json(task, best, request, reply);
}
