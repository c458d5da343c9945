/* images: one /v1/images/generations request while its pictures are drawn and sent.
 *
 * server/media/images.c reads the request into it and prints the answer in one piece;
 * server/media/images_stream.c sends events in the shape of OpenAI's image streams while the rows are drawn.
 * Owned by the request as its work; used by the connection's HTTP thread, one at a time. */
#ifndef CAROUSEL_SERVER_IMAGES_H
#define CAROUSEL_SERVER_IMAGES_H

#include "models/generation/drawing.h"
#include "server/api/events.h"
#include "server/api/work.h"

struct images {
    struct work work;
    struct drawing *drawing;
    size_t n, scale;
    size_t n_begun, n_drawn; /* pixels of each picture: that stand or are given, and that are drawn */
    int64_t seed;
    /* streams only */
    size_t n_partials;        /* of each picture that are sent at most before it is whole */
    struct images_told *told; /* [n] memory_free */
    int64_t created_s;
    struct events events;
};

/* Of the pictures as they are sent, in pixels. */
void images_size(const struct images *task, size_t *width, size_t *height);
/* "size" and "output_format". */
void images_put_size(struct writer *out, const struct images *task);
/* "b64_json": picture i as a PNG file, ink black on white, with paper below its first n_rows rows. */
void images_put_png(struct writer *out, const struct images *task, size_t i, size_t n_rows);
/* Once the drawing has finished. */
void images_put_log_probability(struct writer *out, const struct images *task, size_t i);
/* "usage", "timings", and the end of the object. */
void images_end(struct writer *out, const struct images *task, const struct request *request);

/* Prepare a stream; the task has its job. false: no memory. */
bool images_stream_begin(struct images *task, const struct request *request);

/* The operation of a stream. */
extern const struct operation images_stream;

#endif
