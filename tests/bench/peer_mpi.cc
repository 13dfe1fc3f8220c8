// MPI_Allreduce, measured. usage: mpirun ... peer_mpi ITERATIONS BYTES...
#include <mpi.h>

#include "tests/bench/peer.hh"

int main(int argc, char **argv)
{
	Peer peer;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &peer.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &peer.world);
	peer.barrier = [] { MPI_Barrier(MPI_COMM_WORLD); };
	peer.gather = [&](std::vector<double> &mine) {
		std::vector<double> all(mine.size() * peer.world);

		MPI_Allgather(mine.data(), mine.size(), MPI_DOUBLE, all.data(), mine.size(),
			      MPI_DOUBLE, MPI_COMM_WORLD);
		return all;
	};
	for (int i = 2; i < argc; i++) {
		std::vector<float> x(std::stoul(argv[i]) / sizeof(float));

		measure(peer, "mpi", x, std::stoi(argv[1]), [&] {
			MPI_Allreduce(MPI_IN_PLACE, x.data(), x.size(), MPI_FLOAT, MPI_SUM,
				      MPI_COMM_WORLD);
		});
	}
	MPI_Finalize();
}
