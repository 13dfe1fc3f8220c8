/* Attention of one head by every set of kernels, beside the formula in double. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/attention.h"
#include "runtime/device/kernels.h"
#include "tests/unit/part.h"

static const struct size {
	size_t positions, width;
	bool causal;
} sizes[] = { { 1, 1, true },	 { 1, 1, false },  { 5, 3, true },    { 5, 3, false },
	      { 32, 16, true },	 { 33, 17, true }, { 33, 17, false }, { 40, 64, true },
	      { 64, 32, false }, { 97, 40, true }, { 130, 33, true } };

/* Everything of one head: q, k, v lie side by side with a gap, as y does. */
struct head {
	struct size size;
	size_t step, y_step;
	float *qkv, *dqkv, *y, *dy, *norm, *room;
	double *score, *out, *slope; /* what the formulas say: [T][T], [T][W], [T][3 W] */
};

static void head_init(struct head *h, struct size size)
{
	size_t t = size.positions, w = size.width;

	*h = (struct head){ .size = size, .step = 3 * w + 2, .y_step = w + 3 };
	h->qkv = filled(t * h->step, 1, 0);
	h->dqkv = filled(t * h->step, 2, 0);
	h->y = filled(t * h->y_step, 3, 0);
	h->dy = filled(t * h->y_step, 4, 0);
	h->norm = xaligned(2 * t * sizeof(float));
	h->room = xaligned(attention_room(t, w) * sizeof(float));
	for (size_t i = 0; i < attention_room(t, w); i++)
		h->room[i] = NAN; /* what others left there */
	for (size_t i = 0; i < t * h->step; i++)
		h->qkv[i] *= 3;
	h->score = xcalloc(t * t, sizeof(double));
	h->out = xcalloc(t * w, sizeof(double));
	h->slope = xcalloc(t * 3 * w, sizeof(double));
}

static void head_release(struct head *h)
{
	free(h->qkv);
	free(h->dqkv);
	free(h->y);
	free(h->dy);
	free(h->norm);
	free(h->room);
	free(h->score);
	free(h->out);
	free(h->slope);
}

static double q(const struct head *h, size_t i, size_t c)
{
	return h->qkv[i * h->step + c];
}

static double k(const struct head *h, size_t i, size_t c)
{
	return h->qkv[i * h->step + h->size.width + c];
}

static double v(const struct head *h, size_t i, size_t c)
{
	return h->qkv[i * h->step + 2 * h->size.width + c];
}

static size_t sight(const struct head *h, size_t i)
{
	return h->size.causal ? i + 1 : h->size.positions;
}

/* softmax(q k^T / sqrt(width)) v */
static void expect_forward(struct head *h)
{
	size_t t = h->size.positions, w = h->size.width;

	for (size_t i = 0; i < t; i++) {
		double sum = 0, *p = h->score + i * t;

		for (size_t j = 0; j < sight(h, i); j++) {
			for (size_t c = 0; c < w; c++)
				p[j] += q(h, i, c) * k(h, j, c);
			p[j] = exp(p[j] / sqrt((double)w));
			sum += p[j];
		}
		for (size_t j = 0; j < sight(h, i); j++) {
			p[j] /= sum;
			for (size_t c = 0; c < w; c++)
				h->out[i * w + c] += p[j] * v(h, j, c);
		}
	}
}

/* dv = p^T dy; dp = dy v^T; ds = p (dp - the sum of p dp); dq = ds k, dk = ds^T q, by sqrt(width)
 */
static void expect_backward(struct head *h)
{
	size_t t = h->size.positions, w = h->size.width;
	double scale = 1 / sqrt((double)w), *dp = xcalloc(t, sizeof(double));

	for (size_t i = 0; i < t; i++) {
		const double *p = h->score + i * t;
		const float *dy = h->dy + i * h->y_step;
		double sum = 0;

		for (size_t j = 0; j < sight(h, i); j++) {
			dp[j] = 0;
			for (size_t c = 0; c < w; c++) {
				dp[j] += dy[c] * v(h, j, c);
				h->slope[j * 3 * w + 2 * w + c] += p[j] * dy[c];
			}
			sum += p[j] * dp[j];
		}
		for (size_t j = 0; j < sight(h, i); j++)
			for (size_t c = 0; c < w; c++) {
				double ds = p[j] * (dp[j] - sum) * scale;

				h->slope[i * 3 * w + c] += ds * k(h, j, c);
				h->slope[j * 3 * w + w + c] += ds * q(h, i, c);
			}
	}
	free(dp);
}

static void run(struct head *h, attention_kernel *kernel)
{
	size_t w = h->size.width;

	kernel(&(struct attention){ .positions = h->size.positions,
				    .width = w,
				    .step = h->step,
				    .y_step = h->y_step,
				    .causal = h->size.causal,
				    .q = h->qkv,
				    .k = h->qkv + w,
				    .v = h->qkv + 2 * w,
				    .y = h->y,
				    .dy = h->dy,
				    .norm = h->norm,
				    .dq = h->dqkv,
				    .dk = h->dqkv + w,
				    .dv = h->dqkv + 2 * w,
				    .room = h->room });
}

static void compare(const struct kernels *set, const struct head *h, const char *what,
		    const float *got, size_t step, const double *wanted, size_t width)
{
	for (size_t i = 0; i < h->size.positions; i++)
		for (size_t c = 0; c < width; c++) {
			double far = got[i * step + c] - wanted[i * width + c];

			if (!(fabs(far) <= 2e-6 * (1 + fabs(wanted[i * width + c])) * 4))
				fail_msg("%s, %zu positions of %zu: %s %zu at %zu is %g, not %g",
					 set->isa, h->size.positions, h->size.width, what, c, i,
					 (double)got[i * step + c], wanted[i * width + c]);
		}
}

static void every_set_follows_the_formulas(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(sizes); n++)
		for (const struct kernels *const *set = kernels_all(); *set; set++) {
			size_t width = sizes[n].width;
			struct head h;

			head_init(&h, sizes[n]);
			expect_forward(&h);
			expect_backward(&h);
			run(&h, (*set)->attention);
			compare(*set, &h, "output", h.y, h.y_step, h.out, width);
			run(&h, (*set)->attention_slopes);
			compare(*set, &h, "slope", h.dqkv, h.step, h.slope, 3 * width);
			head_release(&h);
		}
}

static void what_lies_between_rows_is_not_touched(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		struct head h;
		float *gap;

		head_init(&h, sizes[5]);
		for (size_t i = 0; i < h.size.positions; i++) {
			h.y[i * h.y_step + h.size.width] = 7;
			h.dqkv[i * h.step + 3 * h.size.width] = 7;
		}
		run(&h, (*set)->attention);
		run(&h, (*set)->attention_slopes);
		for (size_t i = 0; i < h.size.positions; i++) {
			gap = h.y + i * h.y_step + h.size.width;
			assert_true(*gap == 7);
			gap = h.dqkv + i * h.step + 3 * h.size.width;
			assert_true(*gap == 7);
		}
		head_release(&h);
	}
}

static void the_future_changes_nothing(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		size_t seen = 20;
		float *before;
		struct head h;

		head_init(&h, sizes[5]);
		run(&h, (*set)->attention);
		before = xmalloc(seen * h.y_step * sizeof(float));
		memcpy(before, h.y, seen * h.y_step * sizeof(float));
		fill(h.qkv + seen * h.step, (h.size.positions - seen) * h.step, 9, 0);
		run(&h, (*set)->attention);
		assert_memory_equal(before, h.y, seen * h.y_step * sizeof(float));
		free(before);
		head_release(&h);
	}
}

static void large_scores_stay_finite(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		struct head h;

		head_init(&h, sizes[5]);
		for (size_t i = 0; i < h.size.positions * h.step; i++)
			h.qkv[i] *= 1e3f;
		run(&h, (*set)->attention);
		run(&h, (*set)->attention_slopes);
		for (size_t i = 0; i < h.size.positions; i++)
			for (size_t c = 0; c < h.size.width; c++) {
				assert_true(isfinite(h.y[i * h.y_step + c]));
				assert_true(isfinite(h.dqkv[i * h.step + c]));
			}
		head_release(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_set_follows_the_formulas),
		cmocka_unit_test(what_lies_between_rows_is_not_touched),
		cmocka_unit_test(the_future_changes_nothing),
		cmocka_unit_test(large_scores_stay_finite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
