/* Text from a model that says what comes next. */
#ifndef DSTRAIN_RUNTIME_GENERATE_H
#define DSTRAIN_RUNTIME_GENERATE_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct job;

struct generate {
	const char *prompt; /* NULL or "": a new line, or the first word there is */
	size_t tokens;	    /* how many follow */
	double temperature; /* scores are divided by it; 0: always the most probable */
	size_t top_k;	    /* only so many of the most probable; 0: all */
	uint64_t seed;
	/* Called with each word, those of the prompt first. */
	void (*say)(void *arg, const char *word);
	void *arg;
};

/* Reads the job's training data, for their words, builds its model, and takes the weights from the
 * safetensors file at `path`. Says nothing if it fails. */
int generate_file(const struct generate *generate, const struct job *job, const char *path,
		  struct error *err);

#endif
