/* progress: one line on a terminal that says how far the loading of the models has come.
 *
 * A thread rewrites the line twice a second while weights are read, if stderr is a terminal; elsewhere
 * nothing is written, because a log needs no line that is rewritten. The line ends with a carriage return, so
 * that the next line of the log overwrites it. */
#ifndef CAROUSEL_SERVER_PROGRESS_H
#define CAROUSEL_SERVER_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* Begin to show; end it, and clear the line. Main alone. progress_stop does nothing before progress_start. */
void progress_start(void);
void progress_stop(void);

/* A file of so many bytes of weights begins to be read. Any thread. */
void progress_add(uint64_t bytes);

/* "loading: 103.0 MiB of 412.0 MiB read (25 %), 3 s"; returns out. `read` may be over `all`: a file is read
 * once more if its bundle is. */
enum { PROGRESS_TEXT_BYTES = 128 };
const char *progress_text(uint64_t read, uint64_t all, unsigned seconds, char out[PROGRESS_TEXT_BYTES]);

#endif
