/* Allreduce of sparse vectors by messages of any length. */
#include "runtime/coll_sparse.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/coll.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_flow.h"
#include "runtime/slice.h"
#include "runtime/sparse_vector.h"
#include "runtime/transport/transport.h"

const char *const coll_sparse_names[] = { "auto", "recursive_doubling", "split_allgather", NULL };

enum {
	HEAD = 2 * sizeof(uint32_t), /* how many pairs follow, and bytes of indices */
	FIRST = 64 << 10	     /* bytes of a first message, which most are */
};

/* Pairs of a part, packed behind a head. */
struct packet {
	unsigned char *bytes;
	size_t room, count, length; /* with the head */
};

/* What is longer than a first message comes in two, as then its length is known. */
enum { FIRST_IN, REST_IN, FIRST_OUT, REST_OUT, REQUESTS };

/* What goes to a peer, and what comes from it. */
struct trade {
	int peer;
	const struct packet *out; /* NULL: nothing goes */
	struct sparse_part part;  /* of what comes */
	bool receives;
	struct packet in;
	struct net_request requests[REQUESTS];
	bool posted[REQUESTS]; /* and not yet waited for */
};

struct coll_sparse {
	int members;		       /* that there is room for */
	struct trade *trades;	       /* [members], one for each */
	struct packet *packets;	       /* [members] to go out */
	struct sparse_vector *addends; /* [members] */
	struct sparse_vector sum;
};

/* A collective under way. */
struct traffic {
	struct coll_sparse *sparse;
	struct coll_call call;
	struct sparse_vector *vector;
};

struct coll_sparse *coll_sparse_new(void)
{
	return xcalloc(1, sizeof(struct coll_sparse));
}

static void empty(struct coll_sparse *sparse)
{
	for (int i = 0; i < sparse->members; i++) {
		free(sparse->trades[i].in.bytes);
		free(sparse->packets[i].bytes);
		sparse_vector_release(&sparse->addends[i]);
	}
	free(sparse->trades);
	free(sparse->packets);
	free(sparse->addends);
	sparse_vector_release(&sparse->sum);
	*sparse = (struct coll_sparse){ 0 };
}

void coll_sparse_free(struct coll_sparse *sparse)
{
	if (!sparse)
		return;
	empty(sparse);
	free(sparse);
}

static void make_room(struct coll_sparse *sparse, int members)
{
	size_t n = (size_t)members;

	if (members <= sparse->members)
		return;
	empty(sparse);
	sparse->members = members;
	sparse->trades = xcalloc(n, sizeof(*sparse->trades));
	sparse->packets = xcalloc(n, sizeof(*sparse->packets));
	sparse->addends = xcalloc(n, sizeof(*sparse->addends));
}

static void put_u32(unsigned char *at, size_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

static size_t get_u32(const unsigned char *at)
{
	return at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
}

static void reserve(struct packet *packet, size_t bytes)
{
	if (bytes <= packet->room)
		return;
	packet->room = bytes + bytes / 8;
	packet->bytes = xrealloc(packet->bytes, packet->room, 1);
}

static void pack(struct packet *packet, const struct sparse_vector *vector, struct sparse_part part)
{
	size_t most = sparse_vector_find(vector, part.start + part.space) -
		      sparse_vector_find(vector, part.start);
	size_t body;

	reserve(packet, HEAD + sparse_vector_bound(most, part.space));
	body = sparse_vector_pack(vector, &part, &packet->count, packet->bytes + HEAD);
	packet->length = HEAD + body;
	put_u32(packet->bytes, packet->count);
	put_u32(packet->bytes + HEAD / 2, body - packet->count * sizeof(float));
}

/* Adds what came to the vector's pairs. */
static int unpack(const struct packet *packet, int from, struct sparse_part part,
		  struct sparse_vector *vector, struct error *err)
{
	if (sparse_vector_unpack(vector, &part, packet->count, packet->bytes + HEAD,
				 packet->length - HEAD, err) < 0)
		return error_prefix(err, "rank %d", from);
	return 0;
}

static size_t first_of(size_t length)
{
	return length < FIRST ? length : FIRST;
}

static void receive_first(struct traffic *traffic, struct trade *trade)
{
	reserve(&trade->in, FIRST);
	net_post_recv_up_to(traffic->call.net, trade->peer, coll_tag(&traffic->call),
			    trade->in.bytes, FIRST, &trade->requests[FIRST_IN]);
	trade->posted[FIRST_IN] = true;
}

static void send_packet(struct traffic *traffic, struct trade *trade)
{
	const struct packet *out = trade->out;
	size_t first = first_of(out->length);

	net_post_send(traffic->call.net, trade->peer, coll_tag(&traffic->call), out->bytes, first,
		      &trade->requests[FIRST_OUT]);
	trade->posted[FIRST_OUT] = true;
	if (out->length == first)
		return;
	net_post_send(traffic->call.net, trade->peer, coll_tag(&traffic->call), out->bytes + first,
		      out->length - first, &trade->requests[REST_OUT]);
	trade->posted[REST_OUT] = true;
}

static int finish(struct traffic *traffic, struct trade *trade, int which, struct error *err)
{
	if (!trade->posted[which])
		return 0;
	trade->posted[which] = false;
	return net_wait(traffic->call.net, &trade->requests[which], err);
}

/* Checked before there is room for what it says. */
static int read_head(struct trade *trade, size_t received, struct error *err)
{
	size_t space = trade->part.space, count, indices;

	if (received < HEAD)
		return error_set(err, "rank %d sent %zu bytes instead of pairs", trade->peer,
				 received);
	count = get_u32(trade->in.bytes);
	indices = get_u32(trade->in.bytes + HEAD / 2);
	if (count > space || count * sizeof(float) + indices > sparse_vector_bound(count, space))
		return error_set(err, "rank %d sent %zu pairs of %zu with %zu bytes of indices",
				 trade->peer, count, space, indices);
	trade->in.count = count;
	trade->in.length = HEAD + count * sizeof(float) + indices;
	if (received != first_of(trade->in.length))
		return error_set(err, "rank %d sent %zu bytes of pairs instead of %zu", trade->peer,
				 received, first_of(trade->in.length));
	return 0;
}

static int receive_rest(struct traffic *traffic, struct trade *trade, struct error *err)
{
	if (finish(traffic, trade, FIRST_IN, err) < 0 ||
	    read_head(trade, net_received(&trade->requests[FIRST_IN]), err) < 0)
		return -1;
	reserve(&trade->in, trade->in.length);
	if (trade->in.length <= FIRST)
		return 0;
	net_post_recv(traffic->call.net, trade->peer, coll_tag(&traffic->call),
		      trade->in.bytes + FIRST, trade->in.length - FIRST, &trade->requests[REST_IN]);
	trade->posted[REST_IN] = true;
	return 0;
}

/* Nothing that is under way may be left behind: its memory is used again, or freed. */
static int give_up(struct traffic *traffic, struct trade *trades, int count, struct error *err)
{
	struct error ignored;

	net_abort(traffic->call.net, err->text);
	for (int i = 0; i < count; i++)
		for (int which = 0; which < REQUESTS; which++)
			finish(traffic, &trades[i], which, &ignored);
	return -1;
}

/* Everything to all of them, and from them, at once. */
static int trade_all(struct traffic *traffic, struct trade *trades, int count, struct error *err)
{
	int status = 0;

	for (int i = 0; i < count; i++)
		if (trades[i].receives)
			receive_first(traffic, &trades[i]);
	for (int i = 0; i < count; i++)
		if (trades[i].out)
			send_packet(traffic, &trades[i]);
	for (int i = 0; i < count && status == 0; i++)
		if (trades[i].receives)
			status = receive_rest(traffic, &trades[i], err);
	for (int i = 0; i < count && status == 0; i++)
		for (int which = 0; which < REQUESTS && status == 0; which++)
			status = finish(traffic, &trades[i], which, err);
	return status < 0 ? give_up(traffic, trades, count, err) : 0;
}

/* With the member at `index`: the whole vector goes there, or something comes from there. */
static int trade_with(struct traffic *traffic, int index, bool sends, bool receives,
		      struct error *err)
{
	struct trade *trade = traffic->sparse->trades;
	struct sparse_vector *vector = traffic->vector, *got = traffic->sparse->addends;
	struct packet *packet = traffic->sparse->packets;

	trade->peer = traffic->call.group->ranks[index];
	trade->part = (struct sparse_part){ 0, vector->space };
	trade->receives = receives;
	trade->out = sends ? packet : NULL;
	if (sends)
		pack(packet, vector, trade->part);
	if (trade_all(traffic, trade, 1, err) < 0)
		return -1;
	got->space = vector->space;
	got->count = 0;
	return receives ? unpack(&trade->in, trade->peer, trade->part, got, err) : 0;
}

/* x += y, or y + x as the order says. */
static void add(struct coll_sparse *sparse, struct sparse_vector *x, const struct sparse_vector *y,
		bool behind)
{
	struct sparse_vector old = *x;

	sparse_vector_sum(&sparse->sum, behind ? y : x, behind ? x : y);
	*x = sparse->sum;
	sparse->sum = old;
}

static int largest_power(int count)
{
	int power = 1;

	while (power <= count / 2)
		power *= 2;
	return power;
}

/* Members beyond the largest power of two hand theirs to a partner and get the sum back. */
static int double_recursively(struct traffic *traffic, struct error *err)
{
	const struct group *group = traffic->call.group;
	struct sparse_vector *got = traffic->sparse->addends;
	int power = largest_power(group->count), index = group->index;
	bool has_guest = index + power < group->count;

	if (index >= power) {
		struct sparse_vector old = *traffic->vector;

		if (trade_with(traffic, index - power, true, false, err) < 0 ||
		    trade_with(traffic, index - power, false, true, err) < 0)
			return -1;
		*traffic->vector = *got;
		*got = old;
		return 0;
	}
	if (has_guest) {
		if (trade_with(traffic, index + power, false, true, err) < 0)
			return -1;
		add(traffic->sparse, traffic->vector, got, false);
	}
	for (int bit = 1; bit < power; bit *= 2) {
		if (trade_with(traffic, index ^ bit, true, true, err) < 0)
			return -1;
		add(traffic->sparse, traffic->vector, got, (index & bit) != 0);
	}
	return has_guest ? trade_with(traffic, index + power, true, false, err) : 0;
}

static struct sparse_part slice_of(const struct traffic *traffic, int member)
{
	struct sparse_part part;

	part.start = slice_start(traffic->vector->space, (size_t)traffic->call.group->count,
				 (size_t)member, &part.space);
	return part;
}

/* Sends everybody its slice; what comes of this member's own are the addends, counted from its
 * start. */
static int scatter(struct traffic *traffic, struct error *err)
{
	struct coll_sparse *sparse = traffic->sparse;
	const struct group *group = traffic->call.group;
	struct sparse_part mine = slice_of(traffic, group->index);
	int n = group->count, others = n - 1, status;

	for (int i = 0; i < others; i++) {
		int to = (group->index + 1 + i) % n; /* not all to the same one at first */
		struct trade *trade = &sparse->trades[i];

		pack(&sparse->packets[to], traffic->vector, slice_of(traffic, to));
		trade->peer = group->ranks[to];
		trade->out = &sparse->packets[to];
		trade->part = (struct sparse_part){ 0, mine.space };
		trade->receives = true;
	}
	status = trade_all(traffic, sparse->trades, others, err);
	for (int i = 0; i < others && status == 0; i++) {
		struct sparse_vector *got = &sparse->addends[(group->index + 1 + i) % n];

		got->space = mine.space;
		got->count = 0;
		status = unpack(&sparse->trades[i].in, sparse->trades[i].peer,
				sparse->trades[i].part, got, err);
	}
	sparse_vector_cut(&sparse->addends[group->index], traffic->vector, &mine);
	return status;
}

/* Adds the addends up as recursive doubling does; the sum is the first of them. */
static void add_up(struct coll_sparse *sparse, int n)
{
	int power = largest_power(n);

	for (int i = 0; i + power < n; i++)
		add(sparse, &sparse->addends[i], &sparse->addends[i + power], false);
	for (int bit = 1; bit < power; bit *= 2)
		for (int i = 0; i < power; i += 2 * bit)
			add(sparse, &sparse->addends[i], &sparse->addends[i + bit], false);
}

/* Sums go to everybody, and are put together. */
static int gather(struct traffic *traffic, struct error *err)
{
	struct coll_sparse *sparse = traffic->sparse;
	const struct group *group = traffic->call.group;
	struct sparse_vector *vector = traffic->vector;
	struct packet *mine = &sparse->packets[group->index];
	int n = group->count, status;

	for (int i = 0; i < n - 1; i++) {
		sparse->trades[i].part = slice_of(traffic, (group->index + 1 + i) % n);
		sparse->trades[i].out = mine;
	}
	status = trade_all(traffic, sparse->trades, n - 1, err);
	vector->count = 0;
	for (int i = 0; i < n && status == 0; i++) {
		int place = (i - group->index - 1 + n) % n;
		struct packet *sum = i == group->index ? mine : &sparse->trades[place].in;

		status = unpack(sum, group->ranks[i], slice_of(traffic, i), vector, err);
	}
	sparse_vector_thicken(vector);
	return status;
}

static int split_and_gather(struct traffic *traffic, struct error *err)
{
	struct coll_sparse *sparse = traffic->sparse;
	const struct group *group = traffic->call.group;
	struct sparse_part mine = slice_of(traffic, group->index);

	if (scatter(traffic, err) < 0)
		return -1;
	add_up(sparse, group->count);
	pack(&sparse->packets[group->index], sparse->addends,
	     (struct sparse_part){ 0, mine.space });
	return gather(traffic, err);
}

/* The fastest for as many pairs as all have on average, which nobody knows alone. */
static int choose(struct net *net, const struct group *group, const struct sparse_vector *vector,
		  enum coll_sparse_algorithm *algorithm, struct error *err)
{
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;
	float pairs = (float)vector->count;

	if (coll_allreduce(net, group, COLL_AUTO, &pairs, 1, err) < 0)
		return -1;
	*algorithm = coll_sparse_cost(cost, group->count, COLL_SPARSE_AUTO, vector->space,
				      (double)pairs / group->count)
			     .algorithm;
	return 0;
}

int coll_sparse_allreduce(struct coll_sparse *sparse, struct net *net, const struct group *group,
			  enum coll_sparse_algorithm algorithm, struct sparse_vector *vector,
			  struct error *err)
{
	struct traffic traffic = { .sparse = sparse,
				   .call = { .net = net, .group = group, .kind = COLL_PAIRS },
				   .vector = vector };
	int status;

	if (group->count == 1 || vector->space == 0)
		return 0;
	make_room(sparse, group->count);
	if (algorithm == COLL_SPARSE_AUTO && choose(net, group, vector, &algorithm, err) < 0)
		return -1;
	status = algorithm == COLL_SPARSE_SPLIT_ALLGATHER ? split_and_gather(&traffic, err)
							  : double_recursively(&traffic, err);
	if (status < 0)
		net_abort(net, err->text);
	return status;
}
