/* The compression schemes: one line each. */
#include "runtime/compress/compress.h"

#define COMPRESSORS(X) \
	X(none)        \
	X(fp16)        \
	X(bf16)        \
	X(int8)        \
	X(natural)     \
	X(qsgd)        \
	X(terngrad)    \
	X(sign)        \
	X(signum)      \
	X(onebit)      \
	X(sto_sign)    \
	X(dp_sign)     \
	X(topk)        \
	X(dgc)         \
	X(randk)       \
	X(threshold)   \
	X(cat)         \
	X(powersgd)    \
	X(dq_sgd)      \
	X(adaqs)       \
	X(adaptive_rms)

#define DECLARE(name) extern const struct compressor compress_##name;
#define ENTRY(name)   &compress_##name.entry,

COMPRESSORS(DECLARE)

const struct registry compressors = {
	.category = "compress",
	.noun = "compression scheme",
	.entries = (const struct entry *const[]){ COMPRESSORS(ENTRY) NULL },
};
