/* Scaled signSGD: signs and the mean of |x| (Karimireddy et al., "Error feedback fixes SignSGD",
 * ICML 2019), or with votes signSGD itself (Bernstein et al., "signSGD", ICML 2018). */
#include "lib/opt.h"
#include "runtime/compress/signs.h"

static const struct opt options[] = {
	{ "vote", OPT_BOOL, offsetof(struct signs_params, vote), "no",
	  "what most ranks say counts, one for each number; or signs times sizes are added" },
	{ 0 }
};

const struct compressor compress_sign = {
	.entry = { .name = "sign",
		   .summary = "signs, times the mean size: 1 bit",
		   .options = options,
		   .params_size = sizeof(struct signs_params) },
	.payload = PAYLOAD_OPAQUE,
	/* No feedback: what large coordinates have to wait for makes the mean grow, and with
	 * momentum that has no end (Fashion-MNIST: 10 % instead of 88). */
	.bound = signs_bound,
	.encode = signs_encode,
	.decode_add = signs_decode_add,
	.error = signs_error,
	.vote = signs_vote,
};
