/* Which of this machine's addresses the peers should reach. */
#define _DEFAULT_SOURCE /* getifaddrs */
#include "runtime/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"

struct network {
	int family;
	unsigned char address[16];
	unsigned bits;
};

static int parse_network(struct network *out, const char *text)
{
	char address[64];
	unsigned bits;
	char rest;

	if (sscanf(text, "%63[^/]/%3u%c", address, &bits, &rest) != 2)
		return -1;
	out->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	out->bits = bits;
	if (bits > (out->family == AF_INET6 ? 128u : 32u))
		return -1;
	return inet_pton(out->family, address, out->address) == 1 ? 0 : -1;
}

static const unsigned char *raw_address(const struct sockaddr *from)
{
	if (from->sa_family == AF_INET6)
		return ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr.s6_addr;
	return (const unsigned char *)&((const struct sockaddr_in *)(const void *)from)->sin_addr;
}

static bool within(const struct sockaddr *from, const struct network *network)
{
	const unsigned char *address = raw_address(from);

	for (unsigned bit = 0; bit < network->bits; bit++) {
		unsigned mask = 0x80u >> (bit % 8);

		if ((address[bit / 8] ^ network->address[bit / 8]) & mask)
			return false;
	}
	return true;
}

/* The first address within the network; all that were seen go to `seen`. */
static char *pick_within(const struct network *network, struct buf *seen)
{
	struct ifaddrs *all = NULL;
	char *picked = NULL;

	if (getifaddrs(&all) < 0)
		return NULL;
	for (struct ifaddrs *at = all; at && !picked; at = at->ifa_next) {
		char text[INET6_ADDRSTRLEN];
		int family = at->ifa_addr ? at->ifa_addr->sa_family : AF_UNSPEC;

		if (family != AF_INET && family != AF_INET6)
			continue;
		inet_ntop(family, raw_address(at->ifa_addr), text, sizeof(text));
		buf_addf(seen, "%s%s", seen->length ? ", " : "", text);
		if (family == network->family && within(at->ifa_addr, network))
			picked = xstrdup(text);
	}
	freeifaddrs(all);
	return picked;
}

static bool is_loopback(const char *address)
{
	struct in6_addr raw;

	if (inet_pton(AF_INET6, address, &raw) != 1)
		return strncmp(address, "127.", 4) == 0;
	return IN6_IS_ADDR_LOOPBACK(&raw) || (IN6_IS_ADDR_V4MAPPED(&raw) && raw.s6_addr[12] == 127);
}

static char *from_network(const char *text, struct error *err)
{
	struct network network;
	struct buf seen = { 0 };
	char *picked;

	if (parse_network(&network, text) < 0) {
		error_set(err, "network '%s' is not of the form 10.0.0.0/24", text);
		return NULL;
	}
	picked = pick_within(&network, &seen);
	if (!picked)
		error_set(err, "no address within network '%s'; this host has %s", text,
			  buf_text(&seen));
	buf_release(&seen);
	return picked;
}

char *address_pick(const struct address_hints *hints, struct error *err)
{
	char *picked;

	if (hints->data_addr[0])
		picked = xstrdup(hints->data_addr);
	else if (hints->network[0])
		picked = from_network(hints->network, err);
	else if (hints->loopback_allowed)
		picked = xstrdup("127.0.0.1");
	else if (hints->reached_by[0])
		picked = xstrdup(hints->reached_by);
	else {
		error_set(err, "the other hosts need an address to reach this one; give it "
			       "`network:` or `data_addr:` in the hosts file");
		return NULL;
	}
	if (picked && is_loopback(picked) && !hints->loopback_allowed) {
		error_set(err,
			  "'%s' is a loopback address, which other hosts cannot reach; give "
			  "this host `network:` or `data_addr:` in the hosts file",
			  picked);
		free(picked);
		return NULL;
	}
	return picked;
}

/* SSH_CONNECTION is "client-address port server-address port". */
char *address_reached_by(void)
{
	const char *connection = getenv("SSH_CONNECTION");
	char address[64];

	if (!connection || sscanf(connection, "%*63s %*u %63s", address) != 1)
		return xstrdup("");
	return xstrdup(address);
}
