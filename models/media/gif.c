/* GIF, by giflib. The records are read one by one, because the library's own DGifSlurp allocates what a
 * frame's header says. Frames are drawn as browsers draw them: on a clear canvas, each over what the one
 * before left ("disposal" in the format's appendix). */
#include <gif_lib.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/media/image.h"

enum { MAX_FRAMES = 1024, NOT_CLEAR = -1 };

struct source {
    const uint8_t *bytes;
    size_t n, at;
};

struct decoder {
    GifFileType *gif;
    struct image *out;
    uint8_t *canvas, *before; /* [height, width, 4]: what is shown, and what is to come back */
    GifPixelType *line;       /* [width] */
    size_t pixels, max_pixels, n_frames, room; /* room: frames that *out has room for */
    int disposal, clear;      /* of the frame that comes: what happens after it, and its clear colour */
};

static int read_source(GifFileType *gif, GifByteType *out, int n)
{
    struct source *source = gif->UserData;
    size_t left = source->n - source->at, taken = n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;
    memcpy(out, source->bytes + source->at, taken);
    source->at += taken;
    return (int)taken;
}

static enum status damaged(const GifFileType *gif, struct error *err)
{
    const char *text = gif ? GifErrorString(gif->Error) : NULL;
    return error_set(err, STATUS_BAD_VALUE, "it is damaged or cut short%s%s%s", text ? " (" : "",
                     text ? text : "", text ? ")" : "");
}

/* Draw one line of a frame on the canvas. */
static void put_line(struct decoder *d, const ColorMapObject *map, size_t left, size_t y, size_t width)
{
    uint8_t *out = d->canvas + (y * d->out->width + left) * IMAGE_CHANNELS;
    for (size_t x = 0; x < width; x++, out += IMAGE_CHANNELS) {
        int colour = d->line[x];
        if (colour == d->clear || colour >= map->ColorCount) continue;
        const GifColorType *c = &map->Colors[colour];
        out[0] = c->Red;
        out[1] = c->Green;
        out[2] = c->Blue;
        out[3] = 255;
    }
}

/* Read the lines of a frame; interlaced ones come in four passes. */
static bool read_lines(struct decoder *d, const ColorMapObject *map, size_t left, size_t top, size_t width,
                       size_t height)
{
    static const size_t first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    bool is_interlaced = d->gif->Image.Interlace;
    for (size_t pass = 0; pass < (is_interlaced ? 4u : 1u); pass++)
        for (size_t y = is_interlaced ? first[pass] : 0; y < height; y += is_interlaced ? step[pass] : 1) {
            if (DGifGetLine(d->gif, d->line, (int)width) == GIF_ERROR) return false;
            put_line(d, map, left, top + y, width);
        }
    return true;
}

/* Make room for one frame more, twice as many as before. */
static enum status grow(struct decoder *d, struct error *err)
{
    struct image more = {0};
    size_t room = d->room ? 2 * d->room : 1, most = d->max_pixels / d->pixels;
    if (d->n_frames < d->room) return STATUS_OK;
    if (room > most && most > d->room) room = most;
    enum status status = image_reserve(&more, d->out->width, d->out->height, room, d->max_pixels, err);
    if (status != STATUS_OK) return status;
    if (d->n_frames)
        memcpy(more.pixels, d->out->pixels, d->n_frames * d->pixels * IMAGE_CHANNELS);
    memory_free(d->out->pixels);
    d->out->pixels = more.pixels;
    d->room = room;
    return STATUS_OK;
}

/* What becomes of a frame once it has been shown. */
static void dispose(struct decoder *d, size_t left, size_t top, size_t width, size_t height)
{
    size_t bytes = d->pixels * IMAGE_CHANNELS;
    if (d->disposal == DISPOSE_PREVIOUS) memcpy(d->canvas, d->before, bytes);
    if (d->disposal == DISPOSE_BACKGROUND)
        for (size_t y = top; y < top + height; y++)
            memset(d->canvas + (y * d->out->width + left) * IMAGE_CHANNELS, 0, width * IMAGE_CHANNELS);
    d->disposal = DISPOSAL_UNSPECIFIED;
    d->clear = NOT_CLEAR;
}

static enum status read_frame(struct decoder *d, struct error *err)
{
    GifFileType *gif = d->gif;
    const GifImageDesc *frame = &gif->Image;
    size_t bytes = d->pixels * IMAGE_CHANNELS;
    if (DGifGetImageHeader(gif) == GIF_ERROR) return damaged(gif, err);
    if (frame->Left < 0 || frame->Top < 0 || frame->Width < 1 || frame->Height < 1 ||
        frame->Left > gif->SWidth - frame->Width || frame->Top > gif->SHeight - frame->Height)
        return error_set(err, STATUS_BAD_VALUE, "frame %zu reaches beyond the picture", d->n_frames);
    if (d->n_frames == MAX_FRAMES)
        return error_set(err, STATUS_BAD_VALUE, "more than %d frames", (int)MAX_FRAMES);
    const ColorMapObject *map = frame->ColorMap ? frame->ColorMap : gif->SColorMap;
    if (!map) return error_set(err, STATUS_BAD_VALUE, "frame %zu has no colours", d->n_frames);
    enum status status = grow(d, err);
    if (status != STATUS_OK) return status;
    size_t left = (size_t)frame->Left, top = (size_t)frame->Top;
    size_t width = (size_t)frame->Width, height = (size_t)frame->Height;
    memcpy(d->before, d->canvas, bytes);
    if (!read_lines(d, map, left, top, width, height)) return damaged(gif, err);
    memcpy(d->out->pixels + d->n_frames++ * bytes, d->canvas, bytes);
    dispose(d, left, top, width, height);
    return STATUS_OK;
}

/* An extension says which colour of the next frame is clear, and what becomes of the frame afterwards. */
static enum status read_extension(struct decoder *d, struct error *err)
{
    GraphicsControlBlock block;
    GifByteType *bytes;
    int code;
    if (DGifGetExtension(d->gif, &code, &bytes) == GIF_ERROR) return damaged(d->gif, err);
    if (code == GRAPHICS_EXT_FUNC_CODE && bytes &&
        DGifExtensionToGCB(bytes[0], bytes + 1, &block) == GIF_OK) {
        d->disposal = block.DisposalMode;
        d->clear = block.TransparentColor;
    }
    while (bytes)
        if (DGifGetExtensionNext(d->gif, &bytes) == GIF_ERROR) return damaged(d->gif, err);
    return STATUS_OK;
}

static enum status read_records(struct decoder *d, struct error *err)
{
    enum status status = STATUS_OK;
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    while (status == STATUS_OK && type != TERMINATE_RECORD_TYPE) {
        if (DGifGetRecordType(d->gif, &type) == GIF_ERROR) return damaged(d->gif, err);
        if (type == IMAGE_DESC_RECORD_TYPE) status = read_frame(d, err);
        if (type == EXTENSION_RECORD_TYPE) status = read_extension(d, err);
    }
    if (status == STATUS_OK && d->n_frames == 0)
        return error_set(err, STATUS_BAD_VALUE, "it has no frame");
    d->out->n_frames = d->n_frames;
    return status;
}

enum status image_gif(const uint8_t *bytes, size_t n, size_t max_pixels, struct image *out,
                      struct error *err)
{
    struct source source = {bytes, n, 0};
    struct image canvas = {0};
    struct decoder d = {.out = out, .max_pixels = max_pixels, .clear = NOT_CLEAR};
    d.gif = DGifOpen(&source, read_source, NULL);
    if (!d.gif) return damaged(NULL, err);
    enum status status = image_reserve(&canvas, (size_t)(d.gif->SWidth > 0 ? d.gif->SWidth : 0),
                                       (size_t)(d.gif->SHeight > 0 ? d.gif->SHeight : 0), 1, max_pixels, err);
    if (status == STATUS_OK) {
        *out = (struct image){.width = canvas.width, .height = canvas.height};
        d.pixels = canvas.width * canvas.height;
        d.canvas = canvas.pixels;
        d.before = memory_new(d.pixels, IMAGE_CHANNELS);
        d.line = memory_new(canvas.width, sizeof *d.line);
        status = d.before && d.line ? read_records(&d, err) : error_set(err, STATUS_NO_MEMORY, "no memory");
    }
    memory_free(d.line);
    memory_free(d.before);
    image_free(&canvas);
    DGifCloseFile(d.gif, NULL);
    return status;
}
