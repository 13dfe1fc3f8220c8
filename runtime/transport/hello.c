/* What two ranks tell each other first. Magic and version stay in front in every version. */
#include "runtime/transport/hello.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/wire.h"

static const uint32_t magic = 0x54535344; /* "DSST" */

void hello_put(const struct hello *hello, unsigned char out[HELLO_BYTES])
{
	struct buf buf = { 0 };

	wire_put_u32(&buf, magic);
	wire_put_u32(&buf, hello->version);
	wire_put_u64(&buf, hello->job);
	wire_put_u32(&buf, hello->view);
	wire_put_u32(&buf, (uint32_t)hello->rank);
	wire_put_u32(&buf, (uint32_t)hello->world);
	wire_put_u32(&buf, hello->encrypt);
	wire_put_u32(&buf, (uint32_t)hello->streams);
	wire_put_u32(&buf, (uint32_t)hello->stream);
	assert(buf.length == HELLO_BYTES);
	memcpy(out, buf.data, HELLO_BYTES);
	buf_release(&buf);
}

int hello_get(struct hello *hello, const unsigned char bytes[HELLO_BYTES], struct error *err)
{
	struct wire wire = wire_reader(bytes, HELLO_BYTES);

	if (wire_get_u32(&wire) != magic)
		return error_set(err, "does not speak dstrain's protocol");
	hello->version = wire_get_u32(&wire);
	hello->job = wire_get_u64(&wire);
	hello->view = wire_get_u32(&wire);
	hello->rank = (int)(wire_get_u32(&wire) & INT32_MAX);
	hello->world = (int)(wire_get_u32(&wire) & INT32_MAX);
	hello->encrypt = wire_get_u32(&wire) != 0;
	hello->streams = (int)(wire_get_u32(&wire) & INT32_MAX);
	hello->stream = (int)(wire_get_u32(&wire) & INT32_MAX);
	return 0;
}

static int same(const char *what, uint64_t mine, uint64_t theirs, struct error *err)
{
	if (mine == theirs)
		return 0;
	return error_set(err, "%s differs: %" PRIu64 " there, %" PRIu64 " here", what, theirs,
			 mine);
}

int hello_match(const struct hello *mine, const struct hello *theirs, struct error *err)
{
	if (same("protocol version", mine->version, theirs->version, err) < 0 ||
	    same("job", mine->job, theirs->job, err) < 0 ||
	    same("view", mine->view, theirs->view, err) < 0 ||
	    same("world", (uint64_t)mine->world, (uint64_t)theirs->world, err) < 0 ||
	    same("encrypt", mine->encrypt, theirs->encrypt, err) < 0 ||
	    same("streams", (uint64_t)mine->streams, (uint64_t)theirs->streams, err) < 0)
		return -1;
	return 0;
}
