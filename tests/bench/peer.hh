// What the peers' programs have in common: the same loop as `dstrain bench`, around another
// library. Warm-up, then iterations that all ranks begin together; of each the slowest rank's
// time, and of those the median. Rank 0 prints "NAME BYTES MICROSECONDS WRONG".
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

struct Peer {
	int rank, world;
	std::function<void()> barrier;
	// Everybody's doubles behind each other, on rank 0 at least.
	std::function<std::vector<double>(std::vector<double> &)> gather;
};

inline double now()
{
	using namespace std::chrono;
	return duration<double>(steady_clock::now().time_since_epoch()).count();
}

inline void measure(Peer &peer, const char *name, std::vector<float> &x, int iterations,
		    const std::function<void()> &allreduce)
{
	const int warm_up = 5;
	std::vector<double> took, all, slowest(iterations);
	double wrong = 0;

	std::fill(x.begin(), x.end(), 0.0F);
	for (int i = 0; i < warm_up + iterations; i++) {
		peer.barrier();
		double began = now();
		allreduce();
		if (i >= warm_up)
			took.push_back(now() - began);
	}
	for (size_t i = 0; i < x.size(); i++)
		x[i] = static_cast<float>(i % 97 + peer.rank);
	peer.barrier();
	allreduce();
	for (size_t i = 0; i < x.size(); i++)
		wrong += x[i] != static_cast<float>(peer.world * (i % 97) +
						    peer.world * (peer.world - 1) / 2);
	took.push_back(wrong);
	all = peer.gather(took);
	if (peer.rank != 0)
		return;
	wrong = 0;
	for (int r = 0; r < peer.world; r++) {
		for (int i = 0; i < iterations; i++)
			slowest[i] = std::max(slowest[i], all[r * took.size() + i]);
		wrong += all[(r + 1) * took.size() - 1];
	}
	std::sort(slowest.begin(), slowest.end());
	std::printf("%s %zu %.3f %.0f\n", name, x.size() * sizeof(float),
		    slowest[iterations / 2] * 1e6, wrong);
	std::fflush(stdout);
}
