/* picture_file: a picture on disk as what the command line sends of it. */
#ifndef CAROUSEL_SERVER_PICTURE_FILE_H
#define CAROUSEL_SERVER_PICTURE_FILE_H

#include <stddef.h>

/* The bytes of a file, at most `most`, as a data URL. The caller frees; NULL with a sentence on stderr. */
char *picture_file_url(const char *path, size_t most);

#endif
