/*
 * Text from a model that says what comes next: what was said so far, at most as much as the model
 * sees at once, is run through it, and the next word is drawn by the scores at its end.
 */
#include "runtime/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/frozen.h"
#include "runtime/job.h"
#include "runtime/model/model.h"
#include "runtime/rng.h"

/* Zeroed is valid. */
struct writer {
	struct frozen frozen;
	const struct dataset *data; /* of frozen */
	size_t seen;		    /* most words that the model sees */
	float *x;		    /* [seen] words so far, the last ones */
	float *targets;		    /* [seen] of a loss that nobody asks for */
	uint32_t *order;	    /* [vocabulary] */
	double *share;		    /* [vocabulary] */
	size_t count;		    /* words in x */
};

static int load(struct writer *w, const struct job *job, struct error *err)
{
	w->data = &w->frozen.train;
	if (frozen_load(&w->frozen, job, err) < 0)
		return -1;
	if (!w->data->words || w->data->labels != shape_count(&w->data->shape))
		return error_set(err,
				 "data of format '%s' are no text whose words are known; see "
				 "format 'text'",
				 job->data.entry->name);
	return 0;
}

static int build(struct writer *w, const struct job *job, const char *path, struct error *err)
{
	w->seen = w->data->labels;
	w->x = xcalloc(w->seen, sizeof(float));
	w->targets = xcalloc(w->seen, sizeof(float));
	w->order = xcalloc(w->data->vocabulary, sizeof(*w->order));
	w->share = xcalloc(w->data->vocabulary, sizeof(*w->share));
	return frozen_build(&w->frozen, job, 1, path, err);
}

static void writer_release(struct writer *w)
{
	free(w->order);
	free(w->share);
	free(w->x);
	free(w->targets);
	frozen_release(&w->frozen);
}

/* The longest word that `text` begins with; false: none. */
static bool find_word(const struct writer *w, const char *text, uint32_t *word)
{
	size_t longest = 0;

	for (uint32_t i = 0; i < w->data->vocabulary; i++) {
		size_t length = strlen(w->data->words[i]);

		if (length > longest && strncmp(text, w->data->words[i], length) == 0) {
			longest = length;
			*word = i;
		}
	}
	return longest > 0;
}

static int check_prompt(const struct writer *w, const char *prompt, struct error *err)
{
	uint32_t word;

	for (const char *at = prompt; *at; at += strlen(w->data->words[word]))
		if (!find_word(w, at, &word))
			return error_set(err,
					 "nothing in the training data is like the prompt from its "
					 "byte %zu on: '%s'",
					 (size_t)(at - prompt) + 1, at);
	return 0;
}

static void say(struct writer *w, const struct generate *g, uint32_t word)
{
	if (w->count == w->seen) {
		memmove(w->x, w->x + 1, (w->seen - 1) * sizeof(*w->x));
		w->count--;
	}
	w->x[w->count++] = (float)word;
	g->say(g->arg, w->data->words[word]);
}

static void say_prompt(struct writer *w, const struct generate *g)
{
	uint32_t word = 0;

	if (!g->prompt || !g->prompt[0]) {
		find_word(w, "\n", &word);
		say(w, g, word);
		return;
	}
	for (const char *at = g->prompt; *at; at += strlen(w->data->words[word])) {
		find_word(w, at, &word);
		say(w, g, word);
	}
}

/* Scores of what may follow the last word. What stands behind it is not seen by it. */
static const float *scores(struct writer *w)
{
	struct batch batch = { .x = w->x, .targets = w->targets, .count = 1, .total = 1 };
	struct score score;
	size_t outputs;
	const float *all;

	model_forward(w->frozen.model, w->frozen.weight, &batch, &score);
	all = model_outputs(w->frozen.model, &outputs);
	return all + (w->count - 1) * (outputs / w->seen);
}

/* The k words with the highest scores come first in w->order, highest first. */
static void rank(struct writer *w, const float *score, size_t k)
{
	for (uint32_t i = 0; i < w->data->vocabulary; i++)
		w->order[i] = i;
	for (size_t place = 0; place < k; place++)
		for (size_t i = place + 1; i < w->data->vocabulary; i++)
			if (score[w->order[i]] > score[w->order[place]]) {
				uint32_t kept = w->order[i];

				w->order[i] = w->order[place];
				w->order[place] = kept;
			}
}

static uint32_t draw(struct writer *w, const struct generate *g, size_t number)
{
	const float *score = scores(w);
	struct rng rng = rng_make(g->seed, RNG_DATA, 0, 0);
	size_t all = w->data->vocabulary, k = g->top_k && g->top_k < all ? g->top_k : all;
	double sum = 0, at;

	rank(w, score, g->temperature > 0 && k < all ? k : 1);
	if (g->temperature <= 0)
		return w->order[0];
	for (size_t i = 0; i < k; i++) {
		double distance = (double)score[w->order[i]] - score[w->order[0]];

		w->share[i] = exp(distance / g->temperature);
		sum += w->share[i];
	}
	at = rng_uniform(&rng, number) * sum;
	for (size_t i = 0; i < k; i++)
		if ((at -= w->share[i]) < 0)
			return w->order[i];
	return w->order[0];
}

int generate_file(const struct generate *generate, const struct job *job, const char *path,
		  struct error *err)
{
	struct writer w = { 0 };
	int status = -1;

	if (load(&w, job, err) == 0 && build(&w, job, path, err) == 0 &&
	    check_prompt(&w, generate->prompt ? generate->prompt : "", err) == 0) {
		say_prompt(&w, generate);
		for (size_t i = 0; i < generate->tokens; i++)
			say(&w, generate, draw(&w, generate, i));
		status = 0;
	}
	writer_release(&w);
	return status;
}
