#define _GNU_SOURCE /* RTLD_NEXT */
#include "server/http/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "server/http/wire.h"

enum { PEM_BYTES = 1 << 20, KEY_ID_BYTES = 64 };

struct identity {
    gnutls_x509_crt_t *chain; /* [n], GnuTLS's */
    unsigned n;
    gnutls_x509_privkey_t key;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct identity in_force; /* guarded by mu */

static void identity_clear(struct identity *identity)
{
    for (unsigned i = 0; i < identity->n; i++) gnutls_x509_crt_deinit(identity->chain[i]);
    gnutls_free(identity->chain);
    if (identity->key) gnutls_x509_privkey_deinit(identity->key);
    *identity = (struct identity){0};
}

/* ---- at each handshake ---------------------------------------------------------------------- */

/* mu held. */
static bool copy_chain(const struct identity *identity, gnutls_pcert_st **out)
{
    gnutls_pcert_st *chain = gnutls_calloc(identity->n, sizeof *chain);
    unsigned n = 0;
    while (chain && n < identity->n && gnutls_pcert_import_x509(&chain[n], identity->chain[n], 0) >= 0) n++;
    if (chain && n && n == identity->n) return *out = chain, true;
    while (n) gnutls_pcert_deinit(&chain[--n]);
    gnutls_free(chain);
    return false;
}

/* mu held. */
static bool copy_key(const struct identity *identity, gnutls_privkey_t *out)
{
    gnutls_privkey_t key;
    if (!identity->key || gnutls_privkey_init(&key) < 0) return false;
    if (gnutls_privkey_import_x509(key, identity->key, GNUTLS_PRIVKEY_IMPORT_COPY) >= 0)
        return *out = key, true;
    gnutls_privkey_deinit(key);
    return false;
}

static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
                    unsigned *n, gnutls_ocsp_data_st **ocsp, unsigned *n_ocsp, gnutls_privkey_t *key,
                    unsigned *flags)
{
    (void)session, (void)info;
    pthread_mutex_lock(&mu);
    bool good = copy_key(&in_force, key);
    if (good && !copy_chain(&in_force, chain)) {
        gnutls_privkey_deinit(*key);
        good = false;
    }
    *n = in_force.n;
    pthread_mutex_unlock(&mu);
    *ocsp = NULL;
    *n_ocsp = 0;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    return good ? 0 : -1;
}

void *tls_retriever(void)
{
    gnutls_certificate_retrieve_function3 *function = retrieve;
    void *pointer;
    memcpy(&pointer, &function, sizeof pointer);
    return pointer;
}

const char *tls_priorities(const char *minimum_version)
{
    return !strcmp(minimum_version, "1.3") ? "NORMAL:-VERS-ALL:+VERS-TLS1.3"
                                           : "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
}

void tls_send(void *session, const char *bytes, size_t n)
{
    ssize_t sent = gnutls_record_send(session, bytes, n);
    (void)sent; /* a client that reads nothing gets no answer */
}

/* ---- what libmicrohttpd receives ------------------------------------------------------------ */

typedef ssize_t receive_function(gnutls_session_t session, void *out, size_t room);

static receive_function *own_receive;

static void find_own(void)
{
    void *pointer = dlsym(RTLD_NEXT, "gnutls_record_recv");
    memcpy(&own_receive, &pointer, sizeof own_receive);
}

static ssize_t pull_record(void *session, char *out, size_t room)
{
    return own_receive(session, out, room);
}

/* In the place of GnuTLS's (server/http/wire.h). Both errors of reading again pass as GnuTLS gives them. */
ssize_t gnutls_record_recv(gnutls_session_t session, void *out, size_t room)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_own);
    if (!own_receive) return GNUTLS_E_UNIMPLEMENTED_FEATURE;
    struct wire *wire = wire_of(gnutls_transport_get_int(session), true);
    if (!wire || !room) return own_receive(session, out, room);
    ssize_t n = wire_receive(wire, pull_record, session, out, room);
    return n == WIRE_NO_MEMORY ? GNUTLS_E_MEMORY_ERROR : n;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* All of a file, with a zero byte after it; the caller frees with memory_free, after clearing it. */
static enum status read_pem(const char *path, const char *param, gnutls_datum_t *out, struct error *err)
{
    FILE *file = *path ? fopen(path, "rb") : NULL;
    if (!file)
        return error_set_param(err, STATUS_IO, param, "%s: cannot open '%s': %s", param, path,
                               *path ? strerror(errno)
                                     : "both tls.certificate and tls.private_key are needed");
    char *text = memory_new(PEM_BYTES + 1, 1);
    size_t n = text ? fread(text, 1, PEM_BYTES, file) : 0;
    bool broken = ferror(file) || n == PEM_BYTES;
    fclose(file);
    if (text && !broken) return *out = (gnutls_datum_t){(unsigned char *)text, (unsigned)n}, STATUS_OK;
    memory_free(text);
    if (!text) return error_set(err, STATUS_NO_MEMORY, "%s: no memory", path);
    return error_set_param(err, STATUS_IO, param, "%s: cannot read %s, or it is longer than %d bytes", param,
                           path, PEM_BYTES);
}

static enum status load_chain(const char *path, struct identity *identity, struct error *err)
{
    gnutls_datum_t pem;
    enum status status = read_pem(path, "tls.certificate", &pem, err);
    if (status != STATUS_OK) return status;
    int code = gnutls_x509_crt_list_import2(&identity->chain, &identity->n, &pem, GNUTLS_X509_FMT_PEM,
                                            GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    memory_free(pem.data);
    if (code >= 0 && identity->n) return STATUS_OK;
    return error_set_param(
        err, STATUS_BAD_FORMAT, "tls.certificate",
        "tls.certificate: %s: %s; expected a chain of PEM certificates, the server's own first", path,
        gnutls_strerror(code));
}

static enum status load_key(const char *path, struct identity *identity, struct error *err)
{
    gnutls_datum_t pem;
    enum status status = read_pem(path, "tls.private_key", &pem, err);
    if (status != STATUS_OK) return status;
    int code = gnutls_x509_privkey_init(&identity->key);
    if (code >= 0) code = gnutls_x509_privkey_import2(identity->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(pem.data, 0, pem.size);
    memory_free(pem.data);
    if (code >= 0) return STATUS_OK;
    return error_set_param(err, STATUS_BAD_FORMAT, "tls.private_key",
                           "tls.private_key: %s: %s; expected a PEM private key without a passphrase", path,
                           gnutls_strerror(code));
}

static bool belong_together(const struct identity *identity)
{
    unsigned char ids[2][KEY_ID_BYTES];
    size_t n[2] = {KEY_ID_BYTES, KEY_ID_BYTES};
    return gnutls_x509_crt_get_key_id(identity->chain[0], GNUTLS_KEYID_USE_SHA256, ids[0], &n[0]) >= 0 &&
           gnutls_x509_privkey_get_key_id(identity->key, GNUTLS_KEYID_USE_SHA256, ids[1], &n[1]) >= 0 &&
           n[0] == n[1] && !memcmp(ids[0], ids[1], n[0]);
}

enum status tls_load(const char *certificate, const char *private_key, int64_t *expires_s, struct error *err)
{
    struct identity fresh = {0}, old;
    enum status status = load_chain(certificate, &fresh, err);
    if (status == STATUS_OK) status = load_key(private_key, &fresh, err);
    if (status == STATUS_OK && !belong_together(&fresh))
        status = error_set_param(err, STATUS_BAD_VALUE, "tls.private_key",
                                 "the key %s is not that of the certificate %s", private_key, certificate);
    if (status != STATUS_OK) {
        identity_clear(&fresh);
        return status;
    }
    *expires_s = (int64_t)gnutls_x509_crt_get_expiration_time(fresh.chain[0]);
    pthread_mutex_lock(&mu);
    old = in_force;
    in_force = fresh;
    pthread_mutex_unlock(&mu);
    identity_clear(&old);
    return STATUS_OK;
}

void tls_unload(void)
{
    pthread_mutex_lock(&mu);
    identity_clear(&in_force);
    pthread_mutex_unlock(&mu);
}

/* ---- the other end -------------------------------------------------------------------------- */

static int ask(gnutls_session_t session, const char *request, char *answer, size_t bytes)
{
    int code;
    do code = gnutls_handshake(session);
    while (code < 0 && code != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(code));
    if (code < 0) return code;
    ssize_t n = gnutls_record_send(session, request, strlen(request));
    for (size_t had = 0; n > 0 && had < bytes; had += n > 0 ? (size_t)n : 0)
        n = gnutls_record_recv(session, answer + had, bytes - had);
    gnutls_bye(session, GNUTLS_SHUT_WR);
    return n < 0 ? (int)n : 0;
}

enum status tls_ask(int descriptor, const char *request, char *answer, size_t bytes, struct error *err)
{
    gnutls_session_t session;
    gnutls_certificate_credentials_t nobody; /* shows no certificate, trusts no other */
    int code = gnutls_certificate_allocate_credentials(&nobody);
    if (code < 0) return error_set(err, STATUS_NO_MEMORY, "no memory for TLS");
    code = gnutls_init(&session, GNUTLS_CLIENT);
    if (code >= 0) {
        code = gnutls_set_default_priority(session);
        if (code >= 0) code = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, nobody);
        gnutls_transport_set_int(session, descriptor);
        if (code >= 0) code = ask(session, request, answer, bytes);
        gnutls_deinit(session);
    }
    gnutls_certificate_free_credentials(nobody);
    return code >= 0 ? STATUS_OK
                     : error_set(err, STATUS_IO, "it does not answer by TLS: %s", gnutls_strerror(code));
}
