#include "tls.h"

#include <arpa/inet.h>
#include <check.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static gnutls_session_t handshake(int tcp, gnutls_certificate_credentials_t *credentials)
{
    gnutls_session_t session;
    gnutls_certificate_allocate_credentials(credentials);
    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, *credentials);
    gnutls_transport_set_int(session, tcp);
    int code;
    while ((code = gnutls_handshake(session)) < 0 && !gnutls_error_is_fatal(code))
        ;
    if (code >= 0)
        return session;
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(*credentials);
    return NULL;
}

/* ---- the process between -------------------------------------------------------------------- */

/* From the client to the server; false at the end. */
static bool carry_out(gnutls_session_t session, int plain)
{
    char bytes[16384];
    ssize_t n = recv(plain, bytes, sizeof bytes, 0);
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = gnutls_record_send(session, bytes + at, (size_t)(n - at));
        if (sent < 0 && gnutls_error_is_fatal((int)sent))
            return false;
        at += sent > 0 ? sent : 0;
    }
    return n > 0;
}

/* From the server to the client; false at the end. */
static bool carry_in(gnutls_session_t session, int plain)
{
    char bytes[16384];
    ssize_t n = gnutls_record_recv(session, bytes, sizeof bytes);
    if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
        return true;
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(plain, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
    }
    return n > 0;
}

static void carry(gnutls_session_t session, int tcp, int plain)
{
    struct pollfd ends[] = {{.fd = plain, .events = POLLIN}, {.fd = tcp, .events = POLLIN}};
    for (;;) {
        if (!gnutls_record_check_pending(session) && poll(ends, 2, -1) < 0)
            return;
        if ((ends[1].revents || gnutls_record_check_pending(session)) && !carry_in(session, plain))
            return;
        if (ends[0].revents && !carry_out(session, plain)) {
            gnutls_bye(session, GNUTLS_SHUT_WR);
            shutdown(tcp, SHUT_WR);
            if (ends[0].revents & POLLHUP)
                return; /* closed, not only half */
            ends[0].fd = -1;
        }
        ends[0].revents = ends[1].revents = 0;
    }
}

int tls_wrap(int tcp)
{
    int ends[2];
    pid_t parent = getpid();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        gnutls_certificate_credentials_t credentials;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        for (int i = 3; i < 1024; i++) /* other connections must be able to end */
            if (i != tcp && i != ends[1])
                close(i);
        gnutls_session_t session = handshake(tcp, &credentials);
        if (session != NULL)
            carry(session, tcp, ends[1]);
        _exit(0);
    }
    signal(SIGCHLD, SIG_DFL);
    close(ends[1]);
    close(tcp);
    return ends[0];
}

/* ---- certificates --------------------------------------------------------------------------- */

const char *tls_name(const struct server *server)
{
    static char name[256];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)server->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(tcp, (struct sockaddr *)&address, sizeof address), 0);
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session = handshake(tcp, &credentials);
    ck_assert_msg(session != NULL, "no handshake");
    unsigned n;
    size_t bytes = sizeof name;
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &n);
    gnutls_x509_crt_t certificate;
    gnutls_x509_crt_init(&certificate);
    ck_assert_int_ge(gnutls_x509_crt_import(certificate, shown, GNUTLS_X509_FMT_DER), 0);
    ck_assert_int_ge(gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
                                                   &bytes), 0);
    gnutls_x509_crt_deinit(certificate);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    close(tcp);
    return name;
}

void certificate_make(const char *name, const char *common_name)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t pem;
    char file[128];
    gnutls_x509_privkey_init(&key);
    gnutls_x509_crt_init(&certificate);
    ck_assert_int_ge(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                                  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                     0);
    gnutls_x509_crt_set_version(certificate, 3);
    gnutls_x509_crt_set_serial(certificate, "\x01", 1);
    gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 3600);
    gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 86400 * 30);
    gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, common_name,
                                  (unsigned)strlen(common_name));
    gnutls_x509_crt_set_key(certificate, key);
    ck_assert_int_ge(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), 0);
    ck_assert_int_ge(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem), 0);
    snprintf(file, sizeof file, "%s.pem", name);
    file_write(scratch_path(file), pem.data, pem.size);
    gnutls_free(pem.data);
    ck_assert_int_ge(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
    snprintf(file, sizeof file, "%s.key", name);
    file_write(scratch_path(file), pem.data, pem.size);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
}

const char *const *certificate_settings(const char *name, const char *const *more)
{
    static char texts[2][600];
    static const char *settings[32];
    char file[128];
    size_t n = 0;
    snprintf(file, sizeof file, "%s.pem", name);
    snprintf(texts[0], sizeof texts[0], "CAROUSEL_TLS_CERTIFICATE=%s", scratch_path(file));
    snprintf(file, sizeof file, "%s.key", name);
    snprintf(texts[1], sizeof texts[1], "CAROUSEL_TLS_PRIVATE_KEY=%s", scratch_path(file));
    settings[n++] = texts[0];
    settings[n++] = texts[1];
    for (; more != NULL && *more != NULL && n < 31; more++)
        settings[n++] = *more;
    settings[n] = NULL;
    return settings;
}
