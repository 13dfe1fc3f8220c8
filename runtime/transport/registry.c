/* The transports by name. A new one is one more line. */
#include "runtime/transport/transport.h"

#define TRANSPORTS(X) X(tcp) X(inproc)

#define DECLARE(name) extern const struct transport transport_##name;
#define ENTRY(name)   &transport_##name.entry,

TRANSPORTS(DECLARE)

const struct registry transports = {
	.category = "transport",
	.noun = "transport",
	.entries = (const struct entry *const[]){ TRANSPORTS(ENTRY) NULL },
};
