/* The transports by name. A new one is one more line. */
#include "runtime/transport/transport.h"

#define TRANSPORTS(X) X(tcp) X(inproc)

#define DECLARE(name) extern const struct transport transport_##name;
#define ENTRY(name)   &transport_##name.entry,

TRANSPORTS(DECLARE)

static const struct entry *const entries[] = { TRANSPORTS(ENTRY) NULL };

const struct registry transports = { "transport", "transport", entries };
