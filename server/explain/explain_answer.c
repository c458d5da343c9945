/* Two spellings of one explanation. */
#include "server/explain/explain_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/api/answer.h"
#include "server/request/access.h"
#include "server/request/server.h"

static const char *const directions[] = {"forward", "reverse"};

/* ---- what both have -------------------------------------------------------------------------- */

static void put_pieces(struct writer *out, const char *name, const struct tokenizer *tokenizer,
                       const int32_t *tokens, size_t n)
{
    put_name(out, name);
    put_open(out, '[');
    for (size_t t = 0; t < n; t++) {
        size_t bytes;
        const char *piece = tokenizer_piece(tokenizer, tokens[t], &bytes);
        put_string_n(out, piece, bytes);
    }
    put_close(out, ']');
}

static void put_steps(struct writer *out, const struct explanation *e)
{
    put_named_integer(out, "n_steps", (int64_t)e->T);
    if (e->tokens) put_pieces(out, "steps", e->model->tokenizer, e->tokens, e->T);
    if (e->origin) {
        put_name(out, "origin");
        put_open(out, '[');
        for (size_t t = 0; t <= e->T; t++) put_integer(out, (int64_t)e->origin[t]);
        put_close(out, ']');
    }
    if (e->written) put_pieces(out, "output_steps", e->model->target, e->written, e->n_written);
}

/* The steps of the layer that is shown. */
static size_t cell_steps(const struct explanation *e)
{
    return e->in_decoder ? e->n_written : e->T;
}

static void put_target(struct writer *out, const struct explanation *e)
{
    const struct model *model = e->model;
    enum explanation_target kind = explanation_target_of(model);
    put_name(out, "target");
    put_open(out, '{');
    put_named_integer(out, "step", (int64_t)e->step);
    if (kind == TARGET_TOKEN) {
        size_t bytes;
        const char *piece = tokenizer_piece(model->target, (int32_t)e->output, &bytes);
        put_name(out, "token");
        put_string_n(out, piece, bytes);
        put_name(out, "logprob");
    } else if (kind == TARGET_LABEL) {
        put_named_string(out, "label", model->labels[e->output]);
        put_name(out, model->activation == ACTIVATION_NONE ? "value" : "score");
    } else {
        put_named_integer(out, "output", (int64_t)e->output);
        put_name(out, "value");
    }
    put_float(out, (float)e->value);
    put_close(out, '}');
}

/* Write all but the large numbers; the object stays open. */
static void put_head(struct writer *out, const struct explanation *e, const struct request *request)
{
    char id[REQUEST_ID_BYTES];
    put_open(out, '{');
    put_named_string(out, "id", access_new_id("exp-", id));
    put_named_string(out, "object", "explanation");
    put_named_integer(out, "created", (int64_t)time(NULL));
    put_named_string(out, "model", e->model->name);
    put_named_integer(out, "layers", (int64_t)e->n_layers);
    put_named_integer(out, "layer", (int64_t)e->layer);
    if (e->model->decoder) put_named_string(out, "part", e->in_decoder ? "decoder" : "encoder");
    put_steps(out, e);
    if (e->gradients) put_target(out, e);
    put_name(out, "usage");
    put_open(out, '{');
    put_named_integer(out, "steps_in", (int64_t)(e->T + e->n_written));
    put_close(out, '}');
    put_name(out, "timings");
    put_open(out, '{');
    put_named_rounded(out, "queue_ms", request->record.queue_ms);
    put_named_rounded(out, "compute_ms", e->compute_ms);
    put_close(out, '}');
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_row(struct writer *out, const float *row, size_t n)
{
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) put_float(out, row[i]);
    put_close(out, ']');
}

static void put_named_row(struct writer *out, const char *name, const float *row, size_t n)
{
    if (!row) return;
    put_name(out, name);
    put_row(out, row, n);
}

static void put_named_rows(struct writer *out, const char *name, const float *rows, size_t n, size_t width)
{
    put_name(out, name);
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) put_row(out, rows + i * width, width);
    put_close(out, ']');
}

static void put_cell(struct writer *out, const struct explanation_cell *cell, const char *direction, size_t T)
{
    put_open(out, '{');
    put_named_string(out, "direction", direction);
    put_name(out, "units");
    put_open(out, '[');
    for (size_t i = 0; i < cell->n_units; i++) put_integer(out, (int64_t)cell->units[i]);
    put_close(out, ']');
    put_named_row(out, "half_life", cell->half_life, cell->n_units);
    put_named_row(out, "correlation", cell->correlation, cell->n_units);
    for (int v = 0; v < N_EXPLAINED; v++)
        if (cell->values[v])
            put_named_rows(out, explanation_value_name((enum explanation_value)v), cell->values[v],
                           cell->n_units, T);
    put_close(out, '}');
}

static void write_json(struct writer *out, const struct explanation *e, const struct request *request)
{
    put_head(out, e, request);
    if (e->what & (EXPLAIN_CELLS | EXPLAIN_GATES)) {
        put_name(out, "cells");
        put_open(out, '[');
        for (size_t d = 0; d < e->n_directions; d++)
            put_cell(out, &e->cells[d], directions[d], cell_steps(e));
        put_close(out, ']');
    }
    if (e->gradients && e->tokens) put_named_row(out, "gradients", e->gradients, e->T);
    else if (e->gradients) put_named_rows(out, "gradients", e->gradients, e->T, e->width);
    put_close(out, '}');
}

/* ---- safetensors ----------------------------------------------------------------------------- */

/* The header's entries, and then the numbers, in the same order. */
struct file {
    struct writer *out;
    bool writes_numbers; /* the second round */
    size_t offset;       /* bytes so far */
};

static void put_tensor(struct file *file, const char *stem, const char *name, const char *type,
                       const void *numbers,
                       size_t rows, size_t columns)
{
    size_t bytes = rows * (columns ? columns : 1) * 4;
    char full[32];
    if (!numbers) return;
    snprintf(full, sizeof full, "%s%s%s", stem, *stem ? "." : "", name);
    if (file->writes_numbers) {
        put_raw(file->out, numbers, bytes);
        return;
    }
    put_name(file->out, full);
    put_open(file->out, '{');
    put_named_string(file->out, "dtype", type);
    put_name(file->out, "shape");
    put_open(file->out, '[');
    put_integer(file->out, (int64_t)rows);
    if (columns) put_integer(file->out, (int64_t)columns);
    put_close(file->out, ']');
    put_name(file->out, "data_offsets");
    put_open(file->out, '[');
    put_integer(file->out, (int64_t)file->offset);
    put_integer(file->out, (int64_t)(file->offset + bytes));
    put_close(file->out, ']');
    put_close(file->out, '}');
    file->offset += bytes;
}

static void put_tensors(struct file *file, const struct explanation *e)
{
    for (size_t d = 0; d < e->n_directions; d++) {
        const struct explanation_cell *cell = &e->cells[d];
        const char *stem = directions[d];
        for (int v = 0; v < N_EXPLAINED; v++)
            put_tensor(file, stem, explanation_value_name((enum explanation_value)v), "F32", cell->values[v],
                       cell->n_units, cell_steps(e));
        put_tensor(file, stem, "half_life", "F32", cell->half_life, cell->n_units, 0);
        put_tensor(file, stem, "correlation", "F32", cell->correlation, cell->n_units, 0);
        put_tensor(file, stem, "units", "I32", cell->units, cell->n_units, 0);
    }
    put_tensor(file, "", "gradients", "F32", e->gradients, e->T, e->tokens ? 0 : e->width);
}

static void write_file(struct writer *out, const struct explanation *e, const struct request *request,
                       size_t limit)
{
    struct writer head, meta;
    struct file file = {.out = &head};
    writer_init(&meta, limit);
    writer_init(&head, limit);
    put_head(&meta, e, request);
    put_close(&meta, '}');
    put_open(&head, '{');
    put_name(&head, "__metadata__");
    put_open(&head, '{');
    put_name(&head, "explanation");
    put_string_n(&head, meta.text, meta.n);
    put_close(&head, '}');
    put_tensors(&file, e);
    put_close(&head, '}');
    while (head.n % 8 && !writer_failed(&head)) put_raw(&head, " ", 1);
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)head.n >> 8 * i);
    put_raw(out, (const char *)length, sizeof length);
    put_raw(out, head.text, head.n);
    if (writer_failed(&meta) || writer_failed(&head)) writer_fail(out);
    file.out = out;
    file.writes_numbers = true;
    put_tensors(&file, e);
    writer_release(&meta);
    writer_release(&head);
}

void explain_answer(const struct explanation *explanation, bool safetensors, const struct request *request,
                    struct reply *reply)
{
    size_t limit = (size_t)request->server->config->limits_reply_bytes;
    struct writer out;
    writer_init(&out, limit);
    if (safetensors) write_file(&out, explanation, request, limit);
    else write_json(&out, explanation, request);
    answer_writer(&out, reply);
    if (safetensors) reply->content_type = "application/octet-stream";
}
