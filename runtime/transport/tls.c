/* TLS 1.3 with an external PSK (RFC 8446, 4.2.11): the only place that knows OpenSSL's connections.
 */
#include "runtime/transport/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "lib/error.h"
#include "lib/memory.h"

/* An AES-GCM key is good for 2^24.5 records (RFC 8446, 5.5); a record holds up to 2^14 bytes. */
#define REKEY_BYTES (UINT64_C(1) << 37)

static const unsigned char identity[] = "dstrain";
static const unsigned char cipher[] = { 0x13, 0x01 }; /* TLS_AES_128_GCM_SHA256 */

enum {
	READ_AHEAD = 128 << 10,
	GATHERED = 64 << 10,	/* worth a call to the socket: some records */
	GATHER_MAX = 128 << 10, /* while the socket is full */
};

struct tls_setup {
	SSL_CTX *ctx;
	BIO_METHOD *wire;
	unsigned char key[NET_KEY_BYTES];
};

/* Records between OpenSSL and the socket, several for each call of the kernel. */
struct side {
	size_t at, end;
	unsigned char *bytes;
};

struct tls {
	SSL *ssl;
	int fd;
	bool wants_write, refused;
	uint64_t sent;	 /* payload, since the last new key */
	struct side in;	 /* [READ_AHEAD] */
	struct side out; /* [GATHER_MAX] */
};

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* OpenSSL's own way to a socket may raise SIGPIPE, on threads that are not ours to block it. */
static ssize_t push(struct tls *tls)
{
	struct side *out = &tls->out;

	while (out->at < out->end) {
		ssize_t put = send(tls->fd, out->bytes + out->at, out->end - out->at, MSG_NOSIGNAL);

		if (put < 0)
			return put;
		out->at += (size_t)put;
	}
	out->at = out->end = 0;
	return 1;
}

static int wire_write(BIO *bio, const char *bytes, int length)
{
	struct tls *tls = BIO_get_app_data(bio);
	struct side *out = &tls->out;
	ssize_t pushed = out->end >= GATHERED ? push(tls) : 1;
	size_t put = smaller((size_t)length, GATHER_MAX - out->end);

	BIO_clear_retry_flags(bio);
	if (pushed < 0 && !BIO_sock_should_retry((int)pushed))
		return -1;
	if (put == 0) {
		BIO_set_retry_write(bio);
		return -1;
	}
	memcpy(out->bytes + out->end, bytes, put);
	out->end += put;
	return (int)put;
}

/* A record's body goes to its place, and what follows it into the side. */
static int wire_read(BIO *bio, char *bytes, int length)
{
	struct tls *tls = BIO_get_app_data(bio);
	struct side *in = &tls->in;
	struct iovec parts[] = { { bytes, (size_t)length }, { in->bytes, READ_AHEAD } };
	size_t there = smaller((size_t)length, in->end - in->at);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	if (there) {
		memcpy(bytes, in->bytes + in->at, there);
		in->at += there;
		return (int)there;
	}
	got = readv(tls->fd, parts, 2);
	if (got < 0 && BIO_sock_should_retry((int)got))
		BIO_set_retry_read(bio);
	in->at = 0;
	in->end = got > length ? (size_t)(got - length) : 0;
	return got > length ? length : (int)got;
}

static BIO_METHOD *new_wire(void)
{
	const BIO_METHOD *socket = BIO_s_socket();
	BIO_METHOD *wire = BIO_meth_new(BIO_TYPE_SOCKET, "wire");

	if (!wire || BIO_meth_set_write(wire, wire_write) != 1 ||
	    BIO_meth_set_read(wire, wire_read) != 1 ||
	    BIO_meth_set_ctrl(wire, BIO_meth_get_ctrl(socket)) != 1 ||
	    BIO_meth_set_create(wire, BIO_meth_get_create(socket)) != 1 ||
	    BIO_meth_set_destroy(wire, BIO_meth_get_destroy(socket)) != 1) {
		BIO_meth_free(wire);
		return NULL;
	}
	return wire;
}

static SSL_SESSION *new_session(SSL *ssl)
{
	const struct tls_setup *setup = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	SSL_SESSION *session = SSL_SESSION_new();

	if (session && SSL_SESSION_set1_master_key(session, setup->key, sizeof(setup->key)) == 1 &&
	    SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, cipher)) == 1 &&
	    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

/* The dialling side offers the key. */
static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_length,
		       SSL_SESSION **session)
{
	(void)md; /* there is only one cipher, so it is always its hash */
	*id = identity;
	*id_length = sizeof(identity) - 1;
	*session = new_session(ssl);
	return *session != NULL;
}

/* The accepting side looks it up. Without a session it would want a certificate, and has none. */
static int find_session(SSL *ssl, const unsigned char *id, size_t id_length, SSL_SESSION **session)
{
	bool known = id_length == sizeof(identity) - 1 && memcmp(id, identity, id_length) == 0;

	*session = known ? new_session(ssl) : NULL;
	return !known || *session;
}

static int set_up(SSL_CTX *ctx)
{
	char groups[] = "X25519"; /* the macro casts a const away */

	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(ctx, groups) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1)
		return -1;
	SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT | SSL_OP_ALLOW_NO_DHE_KEX);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_psk_use_session_callback(ctx, use_session);
	SSL_CTX_set_psk_find_session_callback(ctx, find_session);
	return 0;
}

static const char *reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_error());

	return text ? text : "unknown reason";
}

struct tls_setup *tls_setup_new(const unsigned char key[NET_KEY_BYTES], struct error *err)
{
	struct tls_setup *setup = xcalloc(1, sizeof(*setup));

	/* What this machine's openssl.cnf says must not matter. */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	memcpy(setup->key, key, sizeof(setup->key));
	setup->wire = new_wire();
	setup->ctx = SSL_CTX_new(TLS_method());
	if (!setup->wire || !setup->ctx || set_up(setup->ctx) < 0) {
		error_set(err, "cannot set up TLS: %s", reason());
		tls_setup_free(setup);
		return NULL;
	}
	SSL_CTX_set_app_data(setup->ctx, setup);
	return setup;
}

void tls_setup_forget(struct tls_setup *setup)
{
	OPENSSL_cleanse(setup->key, sizeof(setup->key));
}

void tls_setup_free(struct tls_setup *setup)
{
	if (!setup)
		return;
	SSL_CTX_free(setup->ctx);
	BIO_meth_free(setup->wire);
	tls_setup_forget(setup);
	free(setup);
}

struct tls *tls_new(struct tls_setup *setup, int fd, bool dials, struct error *err)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	BIO *wire = BIO_new(setup->wire);

	tls->in.bytes = xmalloc(READ_AHEAD);
	tls->out.bytes = xmalloc(GATHER_MAX);
	tls->ssl = SSL_new(setup->ctx);
	if (!tls->ssl || !wire) {
		error_set(err, "cannot set up TLS: %s", reason());
		BIO_free(wire);
		tls_free(tls);
		return NULL;
	}
	tls->fd = fd;
	BIO_set_fd(wire, fd, BIO_NOCLOSE);
	BIO_set_app_data(wire, tls);
	SSL_set_bio(tls->ssl, wire, wire);
	if (dials)
		SSL_set_connect_state(tls->ssl);
	else
		SSL_set_accept_state(tls->ssl);
	return tls;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	free(tls->in.bytes);
	free(tls->out.bytes);
	free(tls);
}

/* Of a call that returned `result` <= 0: 0 to try again later, or -1. */
static int judge(struct tls *tls, int result, struct error *err)
{
	int kind = SSL_get_error(tls->ssl, result);

	tls->wants_write = kind == SSL_ERROR_WANT_WRITE;
	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
		return 0;
	if (kind == SSL_ERROR_SYSCALL && errno != 0)
		return error_set(err, "%s", strerror(errno));
	if (kind != SSL_ERROR_SSL ||
	    ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return error_set(err, "connection closed");
	tls->refused = true;
	push(tls); /* why: the peer may read it */
	return error_set(err, "TLS failed: %s", reason());
}

static void before_call(struct tls *tls)
{
	ERR_clear_error();
	errno = 0;
	tls->wants_write = false;
}

/* The key has done its part: what protects the connection is derived from it and ephemeral. */
static void forget_key(struct tls *tls)
{
	static const unsigned char zeros[NET_KEY_BYTES];

	SSL_SESSION_set1_master_key(SSL_get_session(tls->ssl), zeros, sizeof(zeros));
}

int tls_flush(struct tls *tls, struct error *err)
{
	bool blocked;

	errno = 0;
	if (push(tls) > 0)
		return 1;
	blocked = BIO_sock_non_fatal_error(errno);
	tls->wants_write = blocked;
	return blocked ? 0 : error_set(err, "%s", strerror(errno));
}

int tls_shake(struct tls *tls, struct error *err)
{
	int result, flushed;

	before_call(tls);
	result = SSL_do_handshake(tls->ssl);
	if (result != 1 && judge(tls, result, err) < 0)
		return -1;
	if (result == 1)
		forget_key(tls);
	flushed = tls_flush(tls, err);
	return flushed < 0 ? -1 : result == 1 && flushed;
}

long tls_read(struct tls *tls, void *bytes, size_t length, struct error *err)
{
	size_t got;
	int result;

	before_call(tls);
	result = SSL_read_ex(tls->ssl, bytes, length, &got);
	return result == 1 ? (long)got : judge(tls, result, err);
}

long tls_write(struct tls *tls, const void *bytes, size_t length, struct error *err)
{
	size_t put;
	int result;

	before_call(tls);
	result = SSL_write_ex(tls->ssl, bytes, length, &put);
	if (result != 1)
		return judge(tls, result, err);
	tls->sent += put;
	if (tls->sent >= REKEY_BYTES) {
		SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		tls->sent = 0;
	}
	return (long)put;
}

void tls_end(struct tls *tls)
{
	before_call(tls);
	SSL_shutdown(tls->ssl);
	push(tls);
}

bool tls_wants_write(const struct tls *tls)
{
	return tls->wants_write;
}

bool tls_was_refused(const struct tls *tls)
{
	return tls->refused;
}

bool tls_holds_input(const struct tls *tls)
{
	return tls->in.at < tls->in.end || SSL_has_pending(tls->ssl);
}

uint64_t tls_wire_sent(const struct tls *tls)
{
	return BIO_number_written(SSL_get_wbio(tls->ssl));
}
