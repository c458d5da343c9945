/* tls: the certificate that the server shows, by GnuTLS, which libmicrohttpd brings along. The only file that
 * knows it.
 *
 * libmicrohttpd does the handshakes and asks at each one which certificate to show (tls_retriever). So a
 * certificate can be replaced while connections are open: they go on with the old one, new ones get the new.
 * Each handshake makes copies of its own, which GnuTLS frees.
 *
 * The question comes without a context, so there is one certificate a process. It is guarded by a lock of its
 * own, never held together with another. tls_load and tls_unload are main's; the rest any thread's. */
#ifndef CAROUSEL_SERVER_TLS_H
#define CAROUSEL_SERVER_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* Take a chain of certificates, the server's own first, and its private key without a passphrase, both PEM
 * files. They must belong together. On failure what was in force stays. *expires_s: Unix seconds. */
MUST_CHECK enum status tls_load(const char *certificate, const char *private_key, int64_t *expires_s,
                                struct error *err);
/* Forget them. No handshake may be under way. */
void tls_unload(void);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK2: a function, as a pointer to void. */
void *tls_retriever(void);
/* GnuTLS's priorities for a value of tls.minimum_version. */
const char *tls_priorities(const char *minimum_version);
/* Send at once, as far as the socket has room, on a session of libmicrohttpd's, on its own thread. */
void tls_send(void *session, const char *bytes, size_t n);

/* As a client on a connected descriptor whose calls have time limits: shake hands with the peer, send
 * the request (a text), and read `bytes` of what comes, fewer if it ends before. */
MUST_CHECK enum status tls_ask(int descriptor, const char *request, char *answer, size_t bytes,
                               struct error *err);

#endif
