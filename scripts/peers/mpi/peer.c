/* Peer measures an MPI library the way bin/bench measures sspurn: the same names,
 * the same samples, the same CSV lines on rank 0's standard output.
 *
 *	mpirun -np 2 peer -op pingpong,allreduce -sizes 8,131072 -time 0.3 -warmup 0.03 -iters 5
 *
 * Times are in seconds, sizes in bytes. Sizes do not matter to operations that
 * have one of their own. */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORLD MPI_COMM_WORLD

enum { WINDOW = 64, BATCH = 4096, MOST = 1 << 20, DATA = 1, ACK = 2 };

static int rank, ranks;
static long size;               /* bytes of the point */
static char *out, *in;          /* as long as the operation needs */
static MPI_Win win;             /* of one-sided operations */
static MPI_Request pending[WINDOW];
static MPI_Status ends[WINDOW];

/* Who takes part in an operation, and whose time counts. */
enum kind { PAIR, ORIGIN, ALL };

typedef struct {
	const char *name;
	enum kind kind;
	int per;    /* operations in a sample */
	long fixed; /* bytes, whatever -sizes says; -1: those of -sizes */
	int blocks; /* buffers hold a block for each rank */
	int window; /* it needs one, with room for so many blocks */
	void (*once)(void);
} operation;

static void pingpong(void)
{
	if (rank == 0) {
		MPI_Send(out, size, MPI_BYTE, 1, DATA, WORLD);
		MPI_Recv(in, size, MPI_BYTE, 1, DATA, WORLD, MPI_STATUS_IGNORE);
	} else {
		MPI_Recv(in, size, MPI_BYTE, 0, DATA, WORLD, MPI_STATUS_IGNORE);
		MPI_Send(out, size, MPI_BYTE, 0, DATA, WORLD);
	}
}

static void stream(void)
{
	char note = 0;
	for (int i = 0; i < WINDOW; i++) {
		if (rank == 0)
			MPI_Isend(out, size, MPI_BYTE, 1, DATA, WORLD, &pending[i]);
		else
			MPI_Irecv(in, size, MPI_BYTE, 0, DATA, WORLD, &pending[i]);
	}
	MPI_Waitall(WINDOW, pending, ends);
	if (rank == 0)
		MPI_Recv(&note, 1, MPI_BYTE, 1, ACK, WORLD, MPI_STATUS_IGNORE);
	else
		MPI_Send(&note, 1, MPI_BYTE, 0, ACK, WORLD);
}

static void exchange(void)
{
	int next = (rank + 1) % ranks, last = (rank + ranks - 1) % ranks;
	MPI_Sendrecv(out, size, MPI_BYTE, next, DATA, in, size, MPI_BYTE, last, DATA, WORLD, MPI_STATUS_IGNORE);
}

static void barrier(void) { MPI_Barrier(WORLD); }
static void bcast(void) { MPI_Bcast(out, size, MPI_BYTE, 0, WORLD); }
static void reduce(void) { MPI_Reduce(out, in, size / 4, MPI_FLOAT, MPI_SUM, 0, WORLD); }
static void allreduce(void) { MPI_Allreduce(out, in, size / 4, MPI_FLOAT, MPI_SUM, WORLD); }
static void allreduce64(void) { MPI_Allreduce(out, in, size / 8, MPI_DOUBLE, MPI_SUM, WORLD); }
static void gather(void) { MPI_Gather(out, size, MPI_BYTE, in, size, MPI_BYTE, 0, WORLD); }
static void allgather(void) { MPI_Allgather(out, size, MPI_BYTE, in, size, MPI_BYTE, WORLD); }
static void scatter(void) { MPI_Scatter(out, size, MPI_BYTE, in, size, MPI_BYTE, 0, WORLD); }
static void alltoall(void) { MPI_Alltoall(out, size, MPI_BYTE, in, size, MPI_BYTE, WORLD); }
static void scan(void) { MPI_Scan(out, in, size / 4, MPI_FLOAT, MPI_SUM, WORLD); }

static void reduce_scatter(void)
{
	MPI_Reduce_scatter_block(out, in, size / 4 / ranks, MPI_FLOAT, MPI_SUM, WORLD);
}

/* One-sided operations: rank 1 is the target, and does nothing for them. */
static void put(void)
{
	MPI_Put(out, size, MPI_BYTE, 1, 0, size, MPI_BYTE, win);
	MPI_Win_flush(1, win);
}

static void get(void)
{
	MPI_Get(in, size, MPI_BYTE, 1, 0, size, MPI_BYTE, win);
	MPI_Win_flush(1, win);
}

static void accumulate(void)
{
	MPI_Accumulate(out, size / 8, MPI_DOUBLE, 1, 0, size / 8, MPI_DOUBLE, MPI_SUM, win);
	MPI_Win_flush(1, win);
}

static void puts_(void)
{
	for (long i = 0; i < WINDOW; i++)
		MPI_Put(out, size, MPI_BYTE, 1, i * size, size, MPI_BYTE, win);
	MPI_Win_flush(1, win);
}

static void gets_(void)
{
	for (long i = 0; i < WINDOW; i++)
		MPI_Get(in + i * size, size, MPI_BYTE, 1, i * size, size, MPI_BYTE, win);
	MPI_Win_flush(1, win);
}

static void fetch(void)
{
	int64_t one = 1, old;
	MPI_Fetch_and_op(&one, &old, MPI_INT64_T, 1, 0, MPI_SUM, win);
	MPI_Win_flush(1, win);
}

static void cas(void)
{
	int64_t next = 0, want = 0, old;
	MPI_Compare_and_swap(&next, &want, &old, MPI_INT64_T, 1, 0, win);
	MPI_Win_flush(1, win);
}

static const operation operations[] = {
	{"pingpong", PAIR, 2, -1, 0, 0, pingpong},
	{"stream", PAIR, WINDOW, -1, 0, 0, stream},
	{"rate", PAIR, WINDOW, 8, 0, 0, stream},
	{"exchange", ALL, 1, -1, 0, 0, exchange},
	{"barrier", ALL, 1, 0, 0, 0, barrier},
	{"bcast", ALL, 1, -1, 0, 0, bcast},
	{"reduce", ALL, 1, -1, 0, 0, reduce},
	{"allreduce", ALL, 1, -1, 0, 0, allreduce},
	{"allreduce64", ALL, 1, -1, 0, 0, allreduce64},
	{"reduce-scatter", ALL, 1, -1, 0, 0, reduce_scatter},
	{"gather", ALL, 1, -1, 1, 0, gather},
	{"allgather", ALL, 1, -1, 1, 0, allgather},
	{"scatter", ALL, 1, -1, 1, 0, scatter},
	{"alltoall", ALL, 1, -1, 1, 0, alltoall},
	{"scan", ALL, 1, -1, 0, 0, scan},
	{"put", ORIGIN, 1, -1, 0, 1, put},
	{"get", ORIGIN, 1, -1, 0, 1, get},
	{"accumulate", ORIGIN, 1, -1, 0, 1, accumulate},
	{"puts", ORIGIN, WINDOW, -1, 0, WINDOW, puts_},
	{"gets", ORIGIN, WINDOW, -1, 0, WINDOW, gets_},
	{"fetch", ORIGIN, 1, 8, 0, 1, fetch},
	{"cas", ORIGIN, 1, 8, 0, 1, cas},
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

static void die(const char *what, const char *value)
{
	if (rank == 0)
		fprintf(stderr, "peer: %s %s\n", what, value);
	MPI_Abort(WORLD, 2);
}

static void *zeroed(long n)
{
	void *p = NULL;
	if (posix_memalign(&p, 4096, n > 0 ? n : 1))
		die("no memory", "");
	memset(p, 0, n);
	return p;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double batch[BATCH]; /* of this rank */
static double slowest[BATCH];
static double samples[MOST + BATCH];

/* Takes n samples on every rank; afterwards rank 0 has them in slowest. */
static void take(const operation *op, int n)
{
	int acts = op->kind == ALL || (op->kind == PAIR && rank < 2) || rank == 0;
	for (int i = 0; i < n; i++) {
		if (op->kind == ALL)
			MPI_Barrier(WORLD);
		double begin = now();
		if (acts)
			op->once();
		batch[i] = now() - begin;
	}
	if (op->kind == ALL)
		MPI_Reduce(batch, slowest, n, MPI_DOUBLE, MPI_MAX, 0, WORLD);
	else
		memcpy(slowest, batch, n * sizeof *batch);
}

/* Takes samples for a time, and at least some; rank 0 leads. Returns how many. */
static int lead(const operation *op, double usec, int least, double *took)
{
	int done = 0;
	double begin = now();
	for (;;) {
		int n = 0;
		double left = usec - (now() - begin);
		if (rank == 0 && (done < least || (left > 0 && done < MOST))) {
			double fit = *took > 0 && left > 0 ? left / 10 / *took : 0;
			n = fit + 1 < BATCH ? (int)fit + 1 : BATCH;
		}
		double at = now();
		MPI_Bcast(&n, 1, MPI_INT, 0, WORLD);
		if (n == 0)
			return done;
		take(op, n);
		*took = (now() - at) / n;
		if (done < MOST)
			memcpy(samples + done, slowest, n * sizeof *samples);
		done += n;
	}
}

static void measure(const operation *op, double usec, double warmup, int least)
{
	long buffer = size * (op->blocks ? ranks : 1) * (op->window ? op->window : 1);
	out = zeroed(buffer);
	in = zeroed(buffer);
	if (op->window) {
		void *base;
		MPI_Win_allocate(buffer > 8 ? buffer : 8, 1, MPI_INFO_NULL, WORLD, &base, &win);
		memset(base, 0, buffer);
		MPI_Barrier(WORLD);
		MPI_Win_lock_all(MPI_MODE_NOCHECK, win);
	}
	double took = 0;
	lead(op, warmup, 1, &took);
	int n = lead(op, usec, least, &took);
	if (n > MOST)
		n = MOST;
	if (op->window) {
		MPI_Win_unlock_all(win);
		MPI_Win_free(&win);
	}
	free(out);
	free(in);
	if (rank != 0)
		return;
	qsort(samples, n, sizeof *samples, ascending);
	double per = op->per, p99 = samples[(long)n * 99 / 100] / per;
	double median = (samples[(n - 1) / 2] + samples[n / 2]) / 2 / per;
	printf("%s,%ld,%d,%d,%.4f,%.4f,%.4f,%.2f,%.1f\n", op->name, size, ranks, n, median, p99, samples[0] / per, size / median, 1e6 / median);
	fflush(stdout);
}

static const operation *find(const char *name)
{
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	die("no operation", name);
	return NULL;
}

int main(int argc, char **argv)
{
	char *ops = NULL, *sizes = NULL, *rest;
	double usec = 0.3e6, warmup = 0.03e6;
	int least = 5;
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(WORLD, &rank);
	MPI_Comm_size(WORLD, &ranks);
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			die("no value for", argv[i]);
		if (!strcmp(argv[i], "-op"))
			ops = argv[i + 1];
		else if (!strcmp(argv[i], "-sizes"))
			sizes = argv[i + 1];
		else if (!strcmp(argv[i], "-time"))
			usec = 1e6 * atof(argv[i + 1]);
		else if (!strcmp(argv[i], "-warmup"))
			warmup = 1e6 * atof(argv[i + 1]);
		else if (!strcmp(argv[i], "-iters"))
			least = atoi(argv[i + 1]);
		else
			die("unknown flag", argv[i]);
	}
	if (!ops || !sizes)
		die("-op and -sizes:", "expected both");
	for (char *name = strtok_r(ops, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		const operation *op = find(name);
		char *list = strdup(sizes), *more;
		for (char *text = strtok_r(list, ",", &more); text; text = strtok_r(NULL, ",", &more)) {
			size = op->fixed >= 0 ? op->fixed : atol(text);
			measure(op, usec, warmup, least);
			if (op->fixed >= 0)
				break;
		}
		free(list);
	}
	MPI_Finalize();
	return 0;
}
