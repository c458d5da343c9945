/* transcribe_answer: the answers of /v1/transcribe and /v1/audio/transcriptions. Private to server/media/. */
#ifndef CAROUSEL_SERVER_TRANSCRIBE_ANSWER_H
#define CAROUSEL_SERVER_TRANSCRIBE_ANSWER_H

#include "models/tasks/ctc_language.h"
#include "models/tasks/heard.h"
#include "server/api/work.h"

enum format { FORMAT_OURS, FORMAT_JSON, FORMAT_TEXT, FORMAT_VERBOSE_JSON, FORMAT_SRT, FORMAT_VTT, N_FORMATS };

/* A request: its model reads, and then perhaps a language model searches. */
struct transcribe {
    struct work work;             /* its job is that of the reading, then that of the search */
    struct model *model;          /* one reference, owned */
    struct reading *reading;
    struct ctc_options options;
    struct heard *heard;          /* owned; the steps' values are given up once the job has copied them */
    struct model *language;       /* one reference, owned; NULL: none */
    int32_t *tokens;              /* owned: of the labels, by the language model */
    struct job_options job_options;
    struct ctc_language *search;  /* owned; NULL until the language model searches */
    struct job_timings read_timings;
    double rate, seconds;         /* of sound; rate 0: other input */
    enum format format;
    bool words, segments;
};

/* Print the texts, best first, in the format. */
void transcribe_print(const struct transcribe *task, const struct ctc_texts *texts, struct request *request,
                      struct reply *reply);

#endif
