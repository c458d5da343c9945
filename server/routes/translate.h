/* translate: one /v1/translate request while it is computed and sent.
 *
 * server/routes/translate.c reads the request into it and prints the answer in one piece;
 * server/routes/translate_stream.c sends it as events while the texts are written. Owned by the request as
 * its work; used by the connection's HTTP thread, one at a time. */
#ifndef CAROUSEL_SERVER_TRANSLATE_H
#define CAROUSEL_SERVER_TRANSLATE_H

#include "server/api/beams.h"
#include "server/api/events.h"
#include "server/api/texts.h"
#include "server/request/access.h"

/* How far a text has been sent. */
struct told {
    size_t first, end; /* its inputs of the translation */
    size_t at, bytes;  /* the input that is being sent, and how much of it */
    bool is_over;      /* with its result */
};

struct translate {
    struct work work;
    struct translation *translation;
    struct kept_texts texts;
    struct piece_of *pieces; /* [n] owned; what each input of the translation is of the texts; NULL: all */
    size_t n;
    /* streams only */
    char id[REQUEST_ID_BYTES];
    int64_t created_s;
    struct told *told;       /* [n_texts] memory_free */
    size_t n_texts;
    struct events events;
};

/* One past the last input that belongs to the same text as input `first`. */
size_t translate_end(const struct translate *task, size_t first);

/* The result of a text as a whole, without tokens: of inputs `first` to `end`. */
struct translation_result translate_whole(const struct translate *task, size_t first, size_t end);

/* How many tokens were written, into the record; once finished. */
void translate_record(const struct translate *task, struct request *request);

/* Prepare a stream. false: no memory. */
bool translate_stream_begin(struct translate *task, const struct request *request);

/* The operation of a streamed translation. */
extern const struct operation translate_stream;

#endif
