// gloo's allreduces over TCP, measured: the ring (what PyTorch uses), and halving and doubling.
// usage: peer_gloo RANK WORLD DIRECTORY ADDRESS ITERATIONS BYTES...
// The ranks find each other through files in DIRECTORY, which all must see.
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/barrier.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include "tests/bench/peer.hh"

static std::vector<double> gather(const std::shared_ptr<gloo::Context> &context,
				  std::vector<double> &mine)
{
	std::vector<double> all(mine.size() * context->size);
	gloo::AllgatherOptions options(context);

	options.setInput(mine.data(), mine.size());
	options.setOutput(all.data(), all.size());
	gloo::allgather(options);
	return all;
}

static void run(int argc, char **argv)
{
	Peer peer;

	peer.rank = std::stoi(argv[1]);
	peer.world = std::stoi(argv[2]);

	gloo::rendezvous::FileStore store(argv[3]);
	auto device = gloo::transport::tcp::CreateDevice(argv[4]);
	auto context = std::make_shared<gloo::rendezvous::Context>(peer.rank, peer.world);

	context->connectFullMesh(store, device);
	peer.barrier = [&] {
		gloo::BarrierOptions options(context);
		gloo::barrier(options);
	};
	peer.gather = [&](std::vector<double> &mine) { return gather(context, mine); };
	for (int i = 6; i < argc; i++) {
		std::vector<float> x(std::stoul(argv[i]) / sizeof(float));
		gloo::AllreduceOptions ring(context);

		ring.setOutput(x.data(), x.size());
		ring.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
		ring.setReduceFunction(static_cast<void (*)(void *, const void *, const void *, size_t)>(
			&gloo::sum<float>));
		measure(peer, "ring", x, std::stoi(argv[5]), [&] { gloo::allreduce(ring); });

		gloo::AllreduceHalvingDoubling<float> halving(context, { x.data() }, x.size());
		measure(peer, "halving", x, std::stoi(argv[5]), [&] { halving.run(); });
	}
	peer.barrier();
}

int main(int argc, char **argv)
{
	try {
		run(argc, argv);
	} catch (const std::exception &e) {
		std::fprintf(stderr, "peer_gloo: %s\n", e.what());
		return 1;
	}
	return 0;
}
