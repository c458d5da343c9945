#include "models/formats/zip.h"

#include <string.h>

#include "models/formats/inflate.h"
#include "models/text/sentence.h"

enum {
    END_BYTES = 22,
    END64_LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    END_MAGIC = 0x06054b50,
    END64_LOCATOR_MAGIC = 0x07064b50,
    END64_MAGIC = 0x06064b50,
    CENTRAL_MAGIC = 0x02014b50,
    LOCAL_MAGIC = 0x04034b50,
    COMMENT_MAX = 65535,
    EXTRA_ZIP64 = 1,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    FLAG_ENCRYPTED = 1
};

static uint64_t number(const uint8_t *at, size_t bytes)
{
    uint64_t x = 0;
    for (size_t i = bytes; i-- > 0;) x = x << 8 | at[i];
    return x;
}

static enum status damaged(struct error *err, const char *what)
{
    return error_set(err, STATUS_BAD_FORMAT, "the zip archive is damaged or incomplete: %s; fetch it again",
                     what);
}

struct directory {
    uint64_t at, bytes, n;
};

/* The newest end record is the last one; a comment may follow it. */
static enum status find_end(const uint8_t *file, uint64_t n, struct directory *out, struct error *err)
{
    if (n < END_BYTES) return damaged(err, "it is too short");
    uint64_t at = n - END_BYTES, least = at > COMMENT_MAX ? at - COMMENT_MAX : 0;
    while (at > least && number(file + at, 4) != END_MAGIC) at--;
    if (number(file + at, 4) != END_MAGIC) return damaged(err, "it has no directory at its end");
    *out =
        (struct directory){number(file + at + 16, 4), number(file + at + 12, 4), number(file + at + 10, 2)};
    if (at < END64_LOCATOR_BYTES || number(file + at - END64_LOCATOR_BYTES, 4) != END64_LOCATOR_MAGIC)
        return STATUS_OK;
    uint64_t end64 = number(file + at - END64_LOCATOR_BYTES + 8, 8);
    if (n < END64_BYTES || end64 > n - END64_BYTES || number(file + end64, 4) != END64_MAGIC)
        return damaged(err, "its zip64 directory is not where it should be");
    *out = (struct directory){number(file + end64 + 48, 8), number(file + end64 + 40, 8),
                              number(file + end64 + 32, 8)};
    return STATUS_OK;
}

/* Sizes and places that do not fit 32 bits stand in an extra field, in this order. */
static void read_extra(const uint8_t *extra, size_t n, struct zip_entry *entry)
{
    for (size_t at = 0; n - at >= 4;) {
        size_t bytes = (size_t)number(extra + at + 2, 2), used = 0;
        if (bytes > n - at - 4) return;
        uint64_t *wide[] = {&entry->bytes, &entry->packed, &entry->header_at};
        for (size_t i = 0; number(extra + at, 2) == EXTRA_ZIP64 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX || bytes - used < 8) continue;
            *wide[i] = number(extra + at + 4 + used, 8);
            used += 8;
        }
        at += 4 + bytes;
    }
}

static enum status read_entry(const uint8_t *at, uint64_t left, struct pool *pool, struct zip_entry *entry,
                              uint64_t *used, struct error *err)
{
    if (left < CENTRAL_BYTES || number(at, 4) != CENTRAL_MAGIC)
        return damaged(err, "an entry of its directory");
    size_t name = (size_t)number(at + 28, 2), extra = (size_t)number(at + 30, 2);
    *used = CENTRAL_BYTES + name + extra + (size_t)number(at + 32, 2);
    if (*used > left || name > ZIP_MAX_NAME) return damaged(err, "a name of its directory");
    entry->name = pool_text(pool, (const char *)at + CENTRAL_BYTES, name);
    if (!entry->name) return pool_spent(err);
    entry->method = (unsigned)number(at + 10, 2);
    entry->crc = (uint32_t)number(at + 16, 4);
    entry->packed = number(at + 20, 4);
    entry->bytes = number(at + 24, 4);
    entry->header_at = number(at + 42, 4);
    read_extra(at + CENTRAL_BYTES + name, extra, entry);
    if (number(at + 8, 2) & FLAG_ENCRYPTED)
        return error_set(err, STATUS_BAD_FORMAT,
                         "the zip archive is encrypted; unpack it with its password first");
    return STATUS_OK;
}

enum status zip_open(const uint8_t *file, uint64_t n_file, struct pool *pool, struct zip *zip,
                     struct error *err)
{
    struct directory directory = {0};
    enum status status = find_end(file, n_file, &directory, err);
    if (status != STATUS_OK) return status;
    if (directory.at > n_file || directory.bytes > n_file - directory.at)
        return damaged(err, "its directory lies outside");
    if (directory.n > ZIP_MAX_ENTRIES)
        return error_set(err, STATUS_TOO_LONG, "a zip archive of %llu entries, expected at most %d",
                         (unsigned long long)directory.n, (int)ZIP_MAX_ENTRIES);
    *zip = (struct zip){.file = file, .n_file = n_file};
    zip->entries = pool_take(pool, (size_t)directory.n + 1, sizeof *zip->entries);
    if (!zip->entries) return pool_spent(err);
    for (uint64_t at = 0, used = 0; zip->n < directory.n; at += used, zip->n++) {
        status = read_entry(file + directory.at + at, directory.bytes - at, pool, &zip->entries[zip->n],
                            &used, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

struct zip_entry *zip_find_exactly(const struct zip *zip, const char *name)
{
    for (size_t i = 0; i < zip->n; i++)
        if (strcmp(zip->entries[i].name, name) == 0) return &zip->entries[i];
    return NULL;
}

struct zip_entry *zip_find(const struct zip *zip, const char *name)
{
    for (size_t i = 0; i < zip->n; i++) {
        const char *whole = zip->entries[i].name, *slash = strchr(whole, '/');
        if (strcmp(whole, name) == 0 || (slash && strcmp(slash + 1, name) == 0)) return &zip->entries[i];
    }
    return NULL;
}

enum status zip_read(const struct zip *zip, struct zip_entry *entry, struct pool *pool, struct error *err)
{
    char name[QUOTE_BYTES];
    if (entry->content) return STATUS_OK;
    if (entry->header_at > zip->n_file || zip->n_file - entry->header_at < LOCAL_BYTES ||
        number(zip->file + entry->header_at, 4) != LOCAL_MAGIC)
        return damaged(err, "an entry is not where the directory says");
    const uint8_t *header = zip->file + entry->header_at;
    uint64_t at = entry->header_at + LOCAL_BYTES + number(header + 26, 2) + number(header + 28, 2);
    if (at > zip->n_file || entry->packed > zip->n_file - at) return damaged(err, "an entry is cut off");
    const uint8_t *content = zip->file + at;
    if (entry->method == METHOD_DEFLATED && entry->bytes > 0) {
        uint8_t *unpacked = pool_take(pool, (size_t)entry->bytes, 1);
        if (!unpacked) return pool_spent(err);
        if (!inflate_block(content, (size_t)entry->packed, unpacked, (size_t)entry->bytes, false))
            return damaged(err, "an entry cannot be unpacked");
        content = unpacked;
    } else if (entry->method != METHOD_STORED && entry->method != METHOD_DEFLATED) {
        return error_set(err, STATUS_BAD_FORMAT,
                         "zip entry %s is packed by method %u; unpack and zip it again",
                         sentence_quote(name, entry->name, strlen(entry->name)), entry->method);
    } else if (entry->method == METHOD_STORED && entry->packed != entry->bytes) {
        return damaged(err, "an entry has two sizes");
    }
    if (inflate_crc(content, (size_t)entry->bytes) != entry->crc)
        return damaged(err, "the sum of an entry is wrong");
    entry->content = content;
    return STATUS_OK;
}
