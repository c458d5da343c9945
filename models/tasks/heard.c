#include "models/tasks/heard.h"

#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/tasks/transcription.h"

static size_t width_of(const struct heard *heard)
{
    return network_output_size(heard->model->network);
}

/* ---- what a state keeps ------------------------------------------------------------------------- */

static void walk_size(struct rest *rest, size_t *n, size_t each)
{
    uint64_t wide = *n;
    rest_field(rest, &wide, sizeof wide);
    if (rest->use == REST_READ && wide > (rest->n - rest->at) / each) rest->failed = true;
    *n = rest->failed ? 0 : (size_t)wide;
}

/* The end of the input. Reading makes it. */
static void walk_end(struct rest *rest, struct raw_owned *end, enum media media)
{
    struct raw *raw = &end->raw;
    const size_t each = media == MEDIA_INK ? 2 : 1;
    walk_size(rest, &raw->n, each * sizeof *end->values);
    walk_size(rest, &raw->n_ends, sizeof(uint64_t));
    if (rest->use == REST_READ) {
        end->values = memory_new(raw->n, each * sizeof *end->values);
        end->ends = memory_new(raw->n_ends, sizeof *end->ends);
        rest->failed |= !end->values || !end->ends;
        raw->media = media;
        raw->values = end->values;
        raw->ends = end->ends;
    }
    if (rest->failed) return;
    rest_field(rest, end->values, raw->n * each * sizeof *end->values);
    for (size_t k = 0; k < raw->n_ends; k++) {
        uint64_t wide = end->ends ? end->ends[k] : 0;
        rest_field(rest, &wide, sizeof wide);
        end->ends[k] = (size_t)wide;
    }
    uint64_t known = raw->n_known;
    rest_field(rest, &known, sizeof known);
    raw->n_known = (size_t)known;
}

/* Whether an end that was read is one that can have been written. */
static bool end_is_good(const struct raw *raw)
{
    size_t n = raw->n * (raw->media == MEDIA_INK ? 2 : 1), before = 0;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(raw->values[i])) return false;
    for (size_t k = 0; k < raw->n_ends; before = raw->ends[k++])
        if (raw->ends[k] <= before) return false;
    return raw->media == MEDIA_INK ? before == raw->n : !raw->n_ends;
}

static enum status read_state(struct heard *heard, const struct state *from, struct error *err)
{
    struct rest rest = {.use = REST_READ, .bytes = from->rest, .n = from->n_rest};
    const struct front *front = heard->model->front;
    const size_t V = width_of(heard);
    walk_size(&rest, &heard->n_rows, V * sizeof *heard->rows);
    heard->rows = memory_new(heard->n_rows, V * sizeof *heard->rows);
    heard->places = memory_new(heard->n_rows, sizeof *heard->places);
    if (!heard->rows || !heard->places) return error_set(err, STATUS_NO_MEMORY, "no memory");
    rest_field(&rest, heard->rows, heard->n_rows * V * sizeof *heard->rows);
    if (front) {
        rest_field(&rest, heard->places, heard->n_rows * sizeof *heard->places);
        rest_field(&rest, &heard->n_past, sizeof heard->n_past);
        walk_end(&rest, &heard->end, front_media(front));
    }
    bool good = rest_is_over(&rest) && (!front || end_is_good(&heard->end.raw));
    for (size_t i = 0; good && i < heard->n_rows * V; i++) good = isfinite(heard->rows[i]);
    if (good) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE,
                     "the state is not one that this model wrote: expected a state of the same model");
}

/* The rest of the state that the reading leaves: struct reading_want. */
static void write_state(void *context, const struct reading *reading, struct rest *rest)
{
    struct heard *heard = context;
    const struct front *front = heard->model->front;
    const size_t V = width_of(heard), fresh = heard->steps.n - heard->steps.n_open;
    size_t n = heard->n_rows + fresh;
    uint64_t past = heard->next_past;
    walk_size(rest, &n, 1);
    rest_field(rest, heard->rows, heard->n_rows * V * sizeof *heard->rows);
    rest_field(rest, (void *)(size_t)reading_rows(reading, 0, NULL), fresh * V * sizeof *heard->rows);
    if (!front) return;
    rest_field(rest, heard->places, heard->n_rows * sizeof *heard->places);
    for (size_t t = 0; t < fresh; t++) {
        uint64_t place = heard->n_past + heard->steps.origin[t];
        rest_field(rest, &place, sizeof place);
    }
    rest_field(rest, &past, sizeof past);
    walk_end(rest, &heard->next_end, front_media(front));
}

void heard_want(struct heard *heard, struct reading_want *want)
{
    want->n_open = heard->steps.n_open;
    want->write_rest = write_state;
    want->context = heard;
}

/* ---- life --------------------------------------------------------------------------------------- */

enum status heard_open(struct heard *heard, const struct model *model, const struct state *from, bool goes_on,
                       struct error *err)
{
    *heard = (struct heard){.model = model, .goes_on = goes_on || from};
    if (!heard->goes_on) return STATUS_OK;
    if (network_is_whole(model->network))
        return error_set(err, STATUS_UNSUPPORTED,
                         "model '%s' reads forwards and backwards, so it needs the whole input at once and "
                         "cannot go on from a part", model->name);
    if (model->front && !front_runs_on(model->front))
        return error_set(err, STATUS_UNSUPPORTED,
                         "the front end '%s' of model '%s' measures the whole input, so it cannot go on "
                         "from a part", front_type_name(model->front), model->name);
    return from ? read_state(heard, from, err) : STATUS_OK;
}

void heard_free(struct heard *heard)
{
    memory_free(heard->rows);
    memory_free(heard->places);
    raw_free(&heard->end);
    raw_free(&heard->next_end);
    front_steps_free(&heard->steps);
    memory_free(heard->all_rows);
    memory_free(heard->all_places);
    *heard = (struct heard){.n_rows = 0};
}

enum status heard_room(const struct heard *heard, size_t *most, struct error *err)
{
    const size_t each = width_of(heard) * sizeof *heard->rows + sizeof *heard->places;
    const size_t all = HEARD_MAX_BYTES / each;
    if (!heard->goes_on) return STATUS_OK;
    if (heard->n_rows >= all)
        return error_set(err, STATUS_TOO_LONG, "%zu steps have been read, expected at most %zu in pieces: "
                         "begin anew, at a pause", heard->n_rows, all);
    if (all - heard->n_rows < *most) *most = all - heard->n_rows;
    return STATUS_OK;
}

/* ---- a piece ------------------------------------------------------------------------------------ */

/* Copy the end of what was read before and, behind it, the piece. */
static bool join(const struct raw *end, const struct raw *piece, struct raw_owned *out)
{
    const size_t each = piece->media == MEDIA_INK ? 2 : 1, n = end->n + piece->n;
    const size_t n_ends = end->n_ends + piece->n_ends;
    *out = (struct raw_owned){.values = memory_new(n, each * sizeof *out->values),
                              .ends = memory_new(n_ends, sizeof *out->ends)};
    if (!out->values || !out->ends) return false;
    if (end->n) memcpy(out->values, end->values, end->n * each * sizeof *out->values);
    memcpy(out->values + end->n * each, piece->values, piece->n * each * sizeof *out->values);
    for (size_t k = 0; k < end->n_ends; k++) out->ends[k] = end->ends[k];
    for (size_t k = 0; k < piece->n_ends; k++) out->ends[end->n_ends + k] = end->n + piece->ends[k];
    out->raw = (struct raw){.media = piece->media, .values = out->values, .n = n, .ends = out->ends,
                            .n_ends = n_ends, .n_known = end->n_known};
    return true;
}

/* Keep what the next piece needs of the input, in place. */
static void cut_end(struct raw_owned *all, size_t from, size_t n_known)
{
    struct raw *raw = &all->raw;
    const size_t each = raw->media == MEDIA_INK ? 2 : 1;
    size_t gone = 0;
    while (gone < raw->n_ends && raw->ends[gone] <= from) gone++;
    raw->n -= from;
    raw->n_ends -= gone;
    raw->n_known = n_known;
    memmove(all->values, all->values + from * each, raw->n * each * sizeof *all->values);
    for (size_t k = 0; k < raw->n_ends; k++) all->ends[k] = all->ends[gone + k] - from;
}

enum status heard_add(struct heard *heard, const struct raw *piece, size_t max_steps, struct error *err)
{
    const struct front *front = heard->model->front;
    if (!heard->goes_on) return front_run(front, piece, max_steps, &heard->steps, err);
    struct raw_owned *all = &heard->next_end;
    if (!join(&heard->end.raw, piece, all)) return error_set(err, STATUS_NO_MEMORY, "no memory");
    enum status status = front_run(front, &all->raw, max_steps, &heard->steps, err);
    if (status != STATUS_OK) return status;
    heard->next_past = heard->n_past + heard->steps.keep_from;
    cut_end(all, heard->steps.keep_from, heard->steps.n_known);
    return STATUS_OK;
}

enum status heard_outputs(struct heard *heard, const struct reading *reading, struct ctc_outputs *out)
{
    const size_t V = width_of(heard), before = heard->n_rows, fresh = heard->steps.n, n = before + fresh;
    heard->all_rows = memory_new(n, V * sizeof *heard->all_rows);
    if (heard->model->front && heard->steps.origin)
        heard->all_places = memory_new(n + 1, sizeof *heard->all_places);
    if (!heard->all_rows || (heard->steps.origin && !heard->all_places)) return STATUS_NO_MEMORY;
    if (before) memcpy(heard->all_rows, heard->rows, before * V * sizeof *heard->rows);
    memcpy(heard->all_rows + before * V, reading_rows(reading, 0, NULL), fresh * V * sizeof *heard->rows);
    for (size_t t = 0; heard->all_places && t < before; t++) heard->all_places[t] = heard->places[t];
    for (size_t t = 0; heard->all_places && t <= fresh; t++)
        heard->all_places[before + t] = heard->n_past + heard->steps.origin[t];
    *out = (struct ctc_outputs){.rows = heard->all_rows, .T = n, .V = V,
                                .blank = (size_t)transcription_spec_of(heard->model)->blank};
    return STATUS_OK;
}
