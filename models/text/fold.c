#include "models/text/fold.h"

#include <string.h>

enum { LATIN = 0xc0, VIETNAMESE = 0x1e00, FULL_WIDTH = 0xff01, FULL_WIDTH_END = 0xff5e };

/* The letters of U+00C0 to U+024F without what is above, below or through them; a dot is none. */
static const char latin[] =
    "AAAAAA.CEEEEIIIIDNOOOOO.OUUUUY..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y"
    "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi..JjKkkLlLlLlL"
    "lLlNnNnNnnNnOoOoOo..RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs"
    "................................Oo.............Uu..............."
    ".............AaIiOoUuUuUuUuUu.AaAa....GgKkOoOo..j...Gg..NnAa...."
    "AaAaEeEeIiIiOoOoRrRrUuUuSsTt..Hh......AaEeOoOoOoOoYy............"
    "................";
/* The same for U+1E00 to U+1EFF. */
static const char vietnamese[] =
    "AaBbBbBbCcDdDdDdDdDdEeEeEeEeEeFfGgHhHhHhHhHhIiIiKkKkKkLlLlLlLlMm"
    "MmMmNnNnNnNnOoOoOoOoPpPpRrRrRrRrSsSsSsSsSsTtTtTtTtUuUuUuUuUuVvVv"
    "WwWwWwWwWwXxXxYyZzZzZzhtwy.s....AaAaAaAaAaAaAaAaAaAaAaAaEeEeEeEe"
    "EeEeEeEeIiIiOoOoOoOoOoOoOoOoOoOoOoOoUuUuUuUuUuUuUuYyYyYyYy......";

static const struct {
    uint32_t code;
    const char *plain;
} signs[] = {
    {0x00c6, "AE"}, {0x00e6, "ae"}, {0x00de, "Th"}, {0x00fe, "th"}, {0x00df, "ss"}, {0x0132, "IJ"},
    {0x0133, "ij"}, {0x0152, "OE"}, {0x0153, "oe"}, {0x1e9e, "SS"}, {0xfb00, "ff"}, {0xfb01, "fi"},
    {0xfb02, "fl"}, {0xfb03, "ffi"}, {0xfb04, "ffl"}, {0xfb05, "st"}, {0xfb06, "st"},
    {0x00a0, " "}, {0x2002, " "}, {0x2003, " "}, {0x2009, " "}, {0x200a, " "}, {0x202f, " "}, {0x3000, " "},
    {0x2007, " "}, {0x2008, " "}, {'\t', " "}, {'\v', " "}, {'\f', "\n"}, {'\r', ""}, {0x0085, "\n"},
    {0x2028, "\n"}, {0x2029, "\n"}, {0x00ad, ""}, {0x200b, ""}, {0x200c, ""}, {0x200d, ""}, {0x2060, ""},
    {0xfeff, ""}, {'"', "'"}, {'`', "'"}, {0x00b4, "'"}, {0x2018, "'"}, {0x2019, "'"}, {0x201a, "'"},
    {0x201b, "'"}, {0x2032, "'"}, {0x02bc, "'"}, {0x2039, "'"}, {0x203a, "'"}, {0x00ab, "\""}, {0x00bb, "\""},
    {0x201c, "\""}, {0x201d, "\""}, {0x201e, "\""}, {0x201f, "\""}, {0x2033, "\""}, {0x2010, "-"},
    {0x2011, "-"}, {0x2012, "-"}, {0x2013, "-"}, {0x2014, "--"}, {0x2015, "--"}, {0x2212, "-"},
    {0x2026, "..."}, {0x2022, "-"}, {0x00b7, "-"}, {0x00d7, "x"}, {0x00bf, "?"}, {0x00a1, "!"}, {0x2044, "/"},
    {0x00aa, "a"}, {0x00ba, "o"}, {'\\', "/"}, {'[', "("}, {']', ")"}, {'{', "("}, {'}', ")"},
};

/* The letter that stands for `code` in a row that begins at `first`, or 0. */
static char letter_of(uint32_t code, uint32_t first, const char *row, size_t n)
{
    return code >= first && code - first < n && row[code - first] != '.' ? row[code - first] : 0;
}

size_t fold_character(uint32_t code, char out[FOLD_CHARACTERS])
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (signs[i].code == code) return strlen(memcpy(out, signs[i].plain, strlen(signs[i].plain) + 1));
    if (code >= 0x300 && code <= 0x36f) return 0; /* accents of the letter before them */
    *out = letter_of(code, LATIN, latin, sizeof latin - 1);
    if (!*out) *out = letter_of(code, VIETNAMESE, vietnamese, sizeof vietnamese - 1);
    if (!*out && code >= FULL_WIDTH && code <= FULL_WIDTH_END) *out = (char)(code - FULL_WIDTH + '!');
    return *out ? 1 : FOLD_NONE;
}
