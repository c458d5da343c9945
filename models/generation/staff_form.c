#include "models/generation/staff_form.h"

#include <string.h>

enum { MAX_TICKS = UINT16_MAX, MAX_DIGITS = 5 };

/* ---- words ---- */

/* Read a number without leading zeros; return how many characters it has, 0 if there is none. */
static size_t read_number(const char *text, size_t n, unsigned *number)
{
    size_t i = 0;
    *number = 0;
    for (; i < n && i < MAX_DIGITS && text[i] >= '0' && text[i] <= '9'; i++)
        *number = *number * 10 + (unsigned)(text[i] - '0');
    return i > 1 && *text == '0' ? 0 : i;
}

static struct word read_metre(const char *piece, size_t bytes)
{
    char text[8] = "";
    unsigned beats, unit;
    const char *x = memchr(piece, 'x', bytes);
    if (!x || bytes >= sizeof text) return (struct word){.kind = WORD_OTHER};
    memcpy(text, piece, bytes);
    text[x - piece] = '/';
    if (!tune_read_metre(text, &beats, &unit)) return (struct word){.kind = WORD_OTHER};
    return (struct word){.kind = WORD_METRE, .beats = (uint8_t)beats, .unit = (uint8_t)unit};
}

/* Read a letter and a number behind it: the ticks of notes, or which bar line it is. */
static struct word read_lettered(const char *piece, size_t bytes)
{
    unsigned number;
    struct word word = {.kind = WORD_OTHER};
    if (bytes < 2 || read_number(piece + 1, bytes - 1, &number) != bytes - 1) return word;
    if (*piece == 'b' && number < STAFF_NUMBERS)
        return (struct word){.kind = WORD_BAR, .number = (uint8_t)number};
    if ((*piece != 'n' && *piece != 't') || number == 0 || number > MAX_TICKS) return word;
    return (struct word){.kind = *piece == 'n' ? WORD_LENGTH : WORD_TRIPLET, .ticks = (uint16_t)number};
}

struct word staff_word(const struct tokenizer *tokenizer, int32_t id)
{
    static const char *const modes[N_MODES] = {"major", "minor", "dorian", "mixolydian"};
    static const struct {
        char sign;
        enum word_kind kind;
    } signs[] = {{'[', WORD_OPEN}, {'|', WORD_BAR}, {']', WORD_REPEAT}, {'.', WORD_CLOSE}, {'z', WORD_REST}};
    size_t bytes;
    unsigned number;
    const char *piece = tokenizer_piece(tokenizer, id, &bytes);
    if (id == tokenizer_eos(tokenizer)) return (struct word){.kind = WORD_END};
    if (id == tokenizer_bos(tokenizer) || id == tokenizer_unk(tokenizer)) return (struct word){.kind =
        WORD_OTHER};
    for (size_t i = 0; bytes == 1 && i < sizeof signs / sizeof *signs; i++)
        if (signs[i].sign == *piece) return (struct word){.kind = signs[i].kind};
    for (unsigned i = 0; i < N_MODES; i++)
        if (bytes == strlen(modes[i]) && !memcmp(piece, modes[i], bytes))
            return (struct word){.kind = WORD_MODE, .mode = (enum tune_mode)i};
    if (bytes > 0 && read_number(piece, bytes, &number) == bytes && number < 128)
        return (struct word){.kind = WORD_NOTE, .pitch = (uint8_t)number};
    struct word lettered = read_lettered(piece, bytes);
    return lettered.kind != WORD_OTHER ? lettered : read_metre(piece, bytes);
}

uint32_t staff_bar(const struct word *metre, unsigned steps_per_quarter)
{
    const struct tune tune = {.beats = metre->beats, .unit = metre->unit, .steps_per_quarter =
        steps_per_quarter};
    uint32_t bar = tune_bar(&tune);
    return bar <= MAX_TICKS ? bar : 0;
}

void staff_fill(const struct word *words, size_t n, bool *fillable, uint32_t longest)
{
    fillable[0] = true;
    for (uint32_t ticks = 1; ticks <= longest; ticks++) {
        fillable[ticks] = false;
        for (size_t i = 0; i < n && !fillable[ticks]; i++) {
            uint32_t own = words[i].kind == WORD_LENGTH ? words[i].ticks : 3u * words[i].ticks;
            if (words[i].kind == WORD_LENGTH || words[i].kind == WORD_TRIPLET)
                fillable[ticks] = own <= ticks && fillable[ticks - own];
        }
    }
}

/* ---- what may come next ---- */

/* Whether the bar that is being written is the last that the tune may have. */
static bool is_last_bar(const struct staff_form *form)
{
    return form->n_bars + 1 >= form->max_bars;
}

/* Whether notes of so many ticks fit, and leave a rest of the bar that can be filled. */
static bool fits(const struct staff_form *form, uint32_t ticks)
{
    uint32_t end = is_last_bar(form) && !form->is_first ? form->bar - form->pickup : form->bar;
    return ticks <= end - form->at && form->fillable[end - form->at - ticks];
}

struct word staff_line(const struct staff_form *form)
{
    size_t before = form->n_bars + (form->at == form->bar); /* a pickup is no whole bar */
    return (struct word){.kind = WORD_BAR, .number = (uint8_t)(before % form->n_numbers)};
}

static bool allows_bar(const struct staff_form *form, unsigned number)
{
    if (form->left || form->is_fresh || form->at == 0) return false;
    if (number != staff_line(form).number) return false;
    if (form->at < form->bar) return form->is_first; /* a pickup */
    return !is_last_bar(form);
}

/* The end of a part: after a full bar, or one that a pickup makes full. */
static bool allows_close(const struct staff_form *form)
{
    return !form->left && !form->is_fresh && form->at == form->bar - form->pickup;
}

static bool allows_between(const struct staff_form *form, enum word_kind kind)
{
    bool is_full = form->n_bars >= form->max_bars;
    if (kind == WORD_OPEN) return !is_full;
    return kind == WORD_END && form->n_bars > 0 && (is_full || !form->is_asked);
}

bool staff_allows(const struct staff_form *form, const struct word *word)
{
    if (form->place == FORM_METRE) return word->kind == WORD_METRE;
    if (form->place == FORM_MODE) return word->kind == WORD_MODE;
    if (form->place == FORM_BETWEEN) return allows_between(form, word->kind);
    if (form->place == FORM_ENDED) return false;
    bool is_note = word->kind == WORD_NOTE || word->kind == WORD_REST;
    bool is_length = word->kind == WORD_LENGTH && word->ticks != form->length;
    if (is_note) return form->left || (form->length && fits(form, form->length));
    if (word->kind == WORD_BAR) return allows_bar(form, word->number);
    if (word->kind == WORD_REPEAT || word->kind == WORD_CLOSE) return allows_close(form);
    if (!is_length && word->kind != WORD_TRIPLET) return false;
    return !form->left && !form->is_fresh && fits(form, is_length ? word->ticks : 3u * word->ticks);
}

/* ---- the next place ---- */

static void add_metre(struct staff_form *form, const struct word *word)
{
    form->metre = *word;
    form->bar = staff_bar(word, form->steps_per_quarter);
    if (!form->is_asked) form->max_bars = form->max_ticks / form->bar;
    if (form->max_bars < 1) form->max_bars = 1;
    form->place = FORM_MODE;
}

static void add_note(struct staff_form *form, struct mark *mark)
{
    mark->triplet = form->left > 0;
    mark->ticks = form->left ? form->triplet : form->length;
    form->at += mark->ticks;
    form->left -= form->left > 0;
    form->is_fresh = false;
}

static void add_sign(struct staff_form *form, enum word_kind kind)
{
    if (kind == WORD_BAR && form->at < form->bar) form->pickup = form->at;
    else form->n_bars++;
    form->is_first = false;
    form->at = 0;
    form->place = kind == WORD_BAR ? FORM_PART : FORM_BETWEEN;
}

static void add_mode(struct staff_form *form, const struct word *word)
{
    form->mode = word->mode;
    form->place = FORM_BETWEEN;
}

static void add_open(struct staff_form *form)
{
    form->at = form->pickup = 0;
    form->is_first = true;
    form->place = FORM_PART;
}

/* A length, or a triplet's, of the notes that follow. */
static void add_length(struct staff_form *form, const struct word *word)
{
    form->is_fresh = true;
    form->left = word->kind == WORD_TRIPLET ? 3 : 0;
    if (word->kind == WORD_TRIPLET) form->triplet = word->ticks;
    else form->length = word->ticks;
}

bool staff_add(struct staff_form *form, const struct word *word, struct mark *mark)
{
    static const uint8_t kinds[N_WORD_KINDS] = {
        [WORD_OPEN] = MARK_OPEN, [WORD_BAR] = MARK_BAR, [WORD_REPEAT] = MARK_REPEAT, [WORD_CLOSE] =
            MARK_CLOSE,
        [WORD_NOTE] = MARK_NOTE, [WORD_REST] = MARK_REST};
    static const bool stands[N_WORD_KINDS] = {
        [WORD_OPEN] = true, [WORD_BAR] = true, [WORD_REPEAT] = true, [WORD_CLOSE] = true, [WORD_NOTE] = true,
        [WORD_REST] = true};
    *mark = (struct mark){.kind = kinds[word->kind], .pitch = word->pitch};
    if (word->kind == WORD_METRE) add_metre(form, word);
    if (word->kind == WORD_MODE) add_mode(form, word);
    if (word->kind == WORD_OPEN) add_open(form);
    if (word->kind == WORD_LENGTH || word->kind == WORD_TRIPLET) add_length(form, word);
    if (word->kind == WORD_NOTE || word->kind == WORD_REST) add_note(form, mark);
    if (word->kind == WORD_BAR || word->kind == WORD_REPEAT || word->kind == WORD_CLOSE) add_sign(form,
                                                                                                  word->kind);
    if (word->kind == WORD_END) form->place = FORM_ENDED;
    return stands[word->kind];
}
