/* confine: what the process may do from now on. A file that is read is untrusted; if a reader is broken after
 * all, it finds no more here than an import needs: the files that were named, a place for the bundle, and
 * neither network nor other programs. */
#ifndef CAROUSEL_MODELS_IMPORT_CONFINE_H
#define CAROUSEL_MODELS_IMPORT_CONFINE_H

#include "models/plan/options.h"

/* Confine this process, before anything is read. Always: no new privileges, 64 descriptors, an hour of CPU,
 * no core dump. If the kernel has Landlock (Linux 5.13): it reads only beneath the folder of options->file,
 * files that links in that folder lead to, and the files of the other options, and writes only beneath the
 * folder that the bundle goes into. If the kernel filters system calls: no sockets, no programs, no other
 * processes. What the kernel lacks is left out. */
void confine(const struct options *options);
/* Whether the kernel has Landlock. */
bool confine_has_landlock(void);

#endif
