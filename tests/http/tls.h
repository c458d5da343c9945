/* tls: the client's side of TLS, and certificates to test with. By GnuTLS. */
#ifndef CAROUSEL_TESTS_HTTP_TLS_H
#define CAROUSEL_TESTS_HTTP_TLS_H

#include "harness.h"

/* Speak TLS on a connected socket, which is taken: returns a plain one that stands for it. A process between
 * them carries the bytes, and closes what the other side closes. */
int tls_wrap(int tcp);
/* The common name of the certificate that the server shows to a new connection. Valid until the next call. */
const char *tls_name(const struct server *server);

/* Write a self-signed certificate of this common name to scratch_path("NAME.pem"), its key to "NAME.key". */
void certificate_make(const char *name, const char *common_name);
/* Settings that take them; NULL ends the list. Valid until the next call. */
const char *const *certificate_settings(const char *name, const char *const *more);

#endif
