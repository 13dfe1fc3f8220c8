/* The signs of a mean that runs over each rank's gradients, and what most ranks say: Bernstein et
 * al., "signSGD with majority vote is communication efficient and fault tolerant", ICLR 2019. */
#include "lib/opt.h"
#include "runtime/compress/signs.h"

static const struct opt options[] = {
	{ "vote", OPT_BOOL, offsetof(struct signs_params, vote), "yes",
	  "what most ranks say counts, one for each number; or signs times sizes are added" },
	{ 0 }
};

const struct compressor compress_signum = {
	.entry = { .name = "signum",
		   .summary = "a vote of the signs of each rank's momentum: 1 bit",
		   .options = options,
		   .params_size = sizeof(struct signs_params) },
	.payload = PAYLOAD_OPAQUE,
	.feedback = FEEDBACK_MOMENTUM,
	.bound = signs_bound,
	.encode = signs_encode,
	.decode_add = signs_decode_add,
	.error = signs_error,
	.vote = signs_vote,
};
